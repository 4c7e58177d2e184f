/** A failing seed in words. */
import type { Connection } from "./client.ts";
import type { Arrival } from "./oracle.ts";

/** The segments that arrived, one a line: the time, the connection, the bytes of its stream, and notes. */
export function traceOf(connections: readonly Connection[], arrivals: readonly Arrival[], epochMs: number): string {
  const heads = connections.map(
    ({ id, source, destination, sourcePort, isn, stream, ending }) =>
      `#${id} ${source}:${sourcePort} > ${destination}, ISN ${isn}, ${stream.length} bytes, ${ending}`,
  );
  const lines = arrivals.map(({ sent, atMs, length }) => {
    const { connection, position, payload, flags, sequence, acknowledgment, isGarbage, isFromServer = false } = sent;
    const bytes = payload.length === 0 ? "" : ` [${position}, ${position + length})`;
    const cut = length < payload.length ? ` cut before ${position + payload.length}` : "";
    return `${(atMs - epochMs).toFixed(2).padStart(10)} #${connection.id} ${flags.padEnd(2)} seq ${sequence} ack ${acknowledgment}${bytes}${cut}${isGarbage ? " garbage" : ""}${isFromServer ? " from the server" : ""}`;
  });
  return [...heads, ...lines].join("\n");
}
