/** A server's treatment of requests from a plain client: each whole, on its own connection. */
import net from "node:net";

/** After this time, a response does not come any more. */
const RESPONSE_TIMEOUT_MS = 3000;

/** Sends a request. Returns the final response's status; 0: none came. */
export function ask(port: number, request: Uint8Array, method: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  let got = "";
  const socket = net.connect({ port, host: "127.0.0.1" });
  const finish = (isClosed: boolean) => {
    const status = finalStatus(got, method, isClosed);
    if (status === undefined && !isClosed) return;
    socket.destroy();
    resolve(status ?? 0);
  };
  socket.on("error", () => {});
  socket.on("close", () => finish(true));
  socket.on("end", () => finish(true));
  socket.on("data", (bytes) => {
    got += bytes.toString("latin1");
    finish(false);
  });
  socket.setTimeout(RESPONSE_TIMEOUT_MS, () => finish(true));
  socket.write(request);
  return promise;
}

/** The status of the first final response among the bytes; undefined: the response is not complete. */
export function finalStatus(text: string, method: string, isClosed: boolean): number | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd + 2);
  const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0);
  const rest = text.slice(headEnd + 4);
  if (status >= 100 && status < 200 && status !== 101) return finalStatus(rest, method, isClosed);
  if (isClosed || method === "HEAD" || status === 101 || status === 204 || status === 304) return status;
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return /(^|\r\n)0\r\n\r\n$/.test(rest) ? status : undefined;
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  return length !== undefined && rest.length >= Number(length) ? status : undefined;
}
