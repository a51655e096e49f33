import { launch } from "@order-backend/orders/Launch"
import { WarehouseLive } from "./Warehouse.ts"

launch(WarehouseLive)
