/**
 * Responds to GETs: as production at once, as the endpoint later on some routes: slow-server.ts PORT
 * production|endpoint. At SIGTERM it writes the median time of each slow route, because no timer is exact.
 */
import { delayOf } from "./slow-routes.ts";

const [port, role] = process.argv.slice(2) as [string, string];
const isSlow = role === "endpoint";
const RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}';
const taken: Record<string, number[]> = {};

Bun.listen<{ text: string }>({
  hostname: "0.0.0.0",
  port: Number(port),
  socket: {
    open: (socket) => void (socket.data = { text: "" }),
    data: (socket, bytes) => {
      const { data } = socket;
      data.text += bytes.toString("latin1");
      for (let end = data.text.indexOf("\r\n\r\n"); end >= 0; end = data.text.indexOf("\r\n\r\n")) {
        const route = /^GET (\/r\d+)\//.exec(data.text)![1]!;
        data.text = data.text.slice(end + 4);
        const delayMs = isSlow ? delayOf(route) : 0;
        if (delayMs === 0) socket.write(RESPONSE);
        else respondLater(route, delayMs, () => socket.write(RESPONSE));
      }
    },
  },
});

function respondLater(route: string, delayMs: number, respond: () => void): void {
  const since = performance.now();
  setTimeout(() => {
    respond();
    (taken[route] ??= []).push(performance.now() - since);
  }, delayMs);
}

process.on("SIGTERM", () => {
  const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1];
  const medians = Object.entries(taken).map(([route, times]) => [route, median(times)]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(medians))}\n`, () => process.exit(0));
});
process.stdout.write("ready\n");
