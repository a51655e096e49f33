import { memoryRepo, sqlRepo } from "../support/TestLayers.ts"
import { suite } from "./conformance/Suite.ts"

suite("OrdersRepoSql.layer", sqlRepo)
suite("OrdersRepoMemory.layer", memoryRepo)
