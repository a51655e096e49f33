import { launch } from "orders/Launch"
import { WarehouseLive } from "./Warehouse.ts"

launch(WarehouseLive)
