/** A handler's exception is a bug in this program: Bun catches it, and it must still come out. */
import { expect, test } from "bun:test";
import { join } from "node:path";

test("an exception in a socket's handler is not swallowed", async () => {
  const socketFile = JSON.stringify(join(import.meta.dir, "../../src/forward/socket.ts"));
  const program = `
    import { bunConnector } from ${socketFile};
    process.on("uncaughtException", (error) => { console.error("uncaught:", error.message); process.exit(3); });
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open: (socket) => void socket.write("hello"), data() {} } });
    const events = { opened() {}, failed() {}, writable() {}, ended() {}, closed() {}, received() { throw new Error("a bug"); } };
    bunConnector.connect({ host: "127.0.0.1", port: server.port }, events, null);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "ignore", stderr: "pipe" });
  expect(await new Response(child.stderr).text()).toContain("uncaught: a bug");
  expect(await child.exited).toBe(3);
});
