-- wrk: every request has its own path. Arguments: pause between a connection's requests, in ms; "get" or
-- "mixed": of each four requests a GET, a small POST, one of several segments, and a chunked one. A body is the
-- request's path, again and again (load.ts).
local requests, pause, mixed = 0, 0, false

function init(args)
  pause = tonumber(args[1])
  mixed = args[2] == "mixed"
end

local function post(path, framing, body)
  return "POST " .. path .. " HTTP/1.1\r\nHost: production.example\r\n" .. framing .. "\r\n\r\n" .. body
end

function request()
  requests = requests + 1
  local path = "/" .. requests
  local kind = mixed and requests % 4 or 0
  if kind == 0 then return wrk.format("GET", path) end
  local body = path:rep(kind == 1 and 1 or 1000)
  if kind < 3 then return post(path, "Content-Length: " .. #body, body) end
  return post(path, "Transfer-Encoding: chunked", string.format("%x\r\n%s\r\n0\r\n\r\n", #body, body))
end

function delay() return pause end
