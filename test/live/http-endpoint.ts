/**
 * An HTTP endpoint that records the path of each request it served, and says so at SIGTERM.
 *
 *     bun http-endpoint.ts PORT DELAY_MS
 */
const [port, delayMs] = process.argv.slice(2).map(Number) as [number, number];
const served: string[] = [];
Bun.serve({
  hostname: "127.0.0.1",
  port,
  idleTimeout: 60,
  async fetch(request) {
    if (request.body !== null) await request.arrayBuffer();
    if (delayMs > 0) await Bun.sleep(delayMs);
    served.push(new URL(request.url).pathname);
    return new Response("served");
  },
});
process.on("SIGTERM", () => {
  process.stdout.write(`${served.join("\n")}\n`, () => process.exit(0));
});
process.stdout.write("ready\n");
