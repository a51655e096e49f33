-- One thread: wrk -t1 -c<connections> ... -- post <path> <first id> <orders per request> <connections> <seed>
--                                      or   get <path with %d> <lowest> <highest> <connections> <seed>
local order = '{"order_id":%d,"user_id":%d,"item_ids":[1,2,3],"total_amount":250.7}'

function init(args)
  mode, path, first, last = args[1], args[2], tonumber(args[3]), tonumber(args[4])
  next_id = first
  idle = tonumber(args[5])
  math.randomseed(tonumber(args[6]))
  wrk.headers["Content-Type"] = "application/json"
end

local function one()
  next_id = next_id + 1
  return string.format(order, next_id, 1 + next_id % 1000)
end

function request()
  if mode == "get" then
    return wrk.format("GET", string.format(path, math.random(first, last)))
  end
  if last == 1 then return wrk.format("POST", path, nil, one()) end
  local orders = {}
  for index = 1, last do orders[index] = one() end
  return wrk.format("POST", path, nil, "[" .. table.concat(orders, ",") .. "]")
end

-- A busy Node server accepts connections one at a time between its other work, which takes seconds; and wrk counts a
-- request that waited for so long as many slow ones. So no request is sent until all connections have been accepted.
function delay()
  if idle == 0 then return 0 end
  idle = idle - 1
  return 500
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6 - 0.5, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
