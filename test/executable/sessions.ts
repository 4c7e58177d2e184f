/** Mirror captures of plain HTTP sessions, for tests that need any session. */
import { bytes, type CapturedFrame, mirroredSegment, pcap, type Tcp } from "../support/frames.ts";

export const VNI = 42;
export const PORT = 80;
/** Mode tcp for tests of other subjects than the FIN: the FIN follows at once, and not after a second's silence. */
export const QUICK_TCP = ["--mode", "tcp", "--fin-delay-ms", "10"];
export const REQUEST = "GET /hello HTTP/1.1\r\nHost: production.example\r\n\r\n";

const START_MS = 1_760_000_000_000;

/**
 * A client's connection, from SYN to FIN, with its bytes in the given pieces; sourcePort distinguishes it from others.
 */
export function session(pieces: (string | Uint8Array)[], sourcePort = 40_000, vni = VNI): CapturedFrame[] {
  let sequence = 1000;
  let timestampMs = START_MS;
  const frame = (flags: string, payload = bytes()): CapturedFrame => {
    const client: Tcp = {
      source: "10.0.0.1",
      destination: "10.0.0.2",
      sourcePort,
      destinationPort: PORT,
      sequence,
      acknowledgment: 1,
      flags,
      payload,
    };
    sequence += payload.length + (flags.includes("S") ? 1 : 0);
    timestampMs += 1;
    return { frame: mirroredSegment(client, vni), timestampMs };
  };
  return [frame("S"), ...pieces.map((piece) => frame("PA", bytes(piece))), frame("FA")];
}

/** A client's connection, with production's response to each request. */
export function exchanges(pairs: readonly (readonly [request: string, response: string])[]): CapturedFrame[] {
  const next = { client: 1000, server: 9000 };
  const frames: CapturedFrame[] = [];
  const send = (side: "client" | "server", flags: string, text = "") => {
    const [own, other] = side === "client" ? (["client", "server"] as const) : (["server", "client"] as const);
    const ends = { client: { address: "10.0.0.1", port: 40_000 }, server: { address: "10.0.0.2", port: PORT } };
    const payload = bytes(text);
    const segment: Tcp = {
      source: ends[own].address,
      destination: ends[other].address,
      sourcePort: ends[own].port,
      destinationPort: ends[other].port,
      sequence: next[own],
      acknowledgment: next[other],
      flags,
      payload,
    };
    frames.push({ frame: mirroredSegment(segment, VNI), timestampMs: START_MS + frames.length });
    next[own] += payload.length + (/[SF]/.test(flags) ? 1 : 0);
  };
  send("client", "S");
  send("server", "SA");
  for (const [request, response] of pairs) {
    send("client", "PA", request);
    send("server", "PA", response);
  }
  send("client", "FA");
  send("server", "FA");
  return frames;
}

/** A savefile of one session with one request. */
export const oneRequest = pcap(session([REQUEST]));
