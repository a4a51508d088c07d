-- What wrk sends, as bench/load.py says in the environment, and how it tells what came back.

local items = tonumber(os.getenv("ITEMS"))
local lines = tonumber(os.getenv("LINES"))
local path = os.getenv("REQUEST_PATH")
local method = os.getenv("REQUEST_METHOD")
local first_key = os.getenv("KEYS")
local headers = {["Content-Type"] = "application/json"}
local sent = 0

local function item(number)
  return string.format("01980000-0000-7000-8000-%012x", number % items)
end

-- Each thread goes to one of the servers, so that none of them gets all connections because it was the first to wake up.
local threads = 0
function setup(thread)
  local hosts = {}
  for host in string.gmatch(os.getenv("SERVERS"), "[^ ]+") do table.insert(hosts, host) end
  local host, port = string.match(hosts[threads % #hosts + 1], "(.+):(%d+)")
  thread.addr = wrk.lookup(host, port)[1]
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  math.randomseed(tonumber(os.getenv("SEED")) + number)
  first_key = first_key .. "-" .. number .. "-"
  if os.getenv("TOKEN") ~= "" then headers["Authorization"] = "Bearer " .. os.getenv("TOKEN") end
  if os.getenv("COPY") ~= "" then headers["If-None-Match"] = os.getenv("COPY") end
end

function request()
  if lines == 0 then
    local one = string.gsub(path, "ITEM", item(math.random(0, items - 1)))
    return wrk.format(method, one, headers)
  end
  -- as many different items, one unit of each, in no order
  local start, step, wanted = math.random(0, items - 1), math.random(1, math.max(1, math.floor(items / lines) - 1)), {}
  for line = 1, lines do
    wanted[line] = '{"item_id":"' .. item(start + step * ((line * 7) % lines)) .. '","quantity":1}'
  end
  sent = sent + 1
  headers["Idempotency-Key"] = first_key .. sent
  return wrk.format(method, path, headers, '{"lines":[' .. table.concat(wanted, ",") .. "]}")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bytes":%d,"refused":%d,"broken":%d,"p50":%.3f,"p90":%.3f,"p99":%.3f,"longest":%.3f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
