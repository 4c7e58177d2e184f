-- wrk: every request has a path of its own. Arguments: pause between a connection's requests, in ms.
local requests, pause = 0, 0
function init(args) pause = tonumber(args[1]) end
function request() requests = requests + 1; return wrk.format("GET", "/" .. requests) end
function delay() return pause end
