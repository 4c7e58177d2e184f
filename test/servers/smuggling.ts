/**
 * Lets the executable forward all of {@link SMUGGLING_CASES} from one capture to a real server, and names the faults of
 * each case. These rules must hold on each connection to the server:
 *
 * - Each turn (tap.ts) is one request to us. The server, which has not seen production, must see one request too: it
 *   sends one final response, or ends the connection without any. It never waits for more (except for the rest of an
 *   isolated request, whose end the server sees elsewhere), and never sees a second request.
 * - Its handler has read exactly the requests to which it has responded with 200, in this order. (The server rejects
 *   some itself, with 400 and similar statuses, and hands these to no handler.)
 *
 * After the server has accepted a CONNECT, the rest of that connection is a tunnel, and no request of ours.
 *
 * In each case, the right requests are forwarded, in order, and never one with the name smuggled. In all, the number of
 * sent requests equals `requests.forwarded`; a request that was sent again because the server closed the connection
 * counts once.
 */
import type { TemporaryDirectory } from "../executable/program.ts";
import { bytes, type CapturedFrame, mirroredSegment, pcap, type Tcp } from "../support/frames.ts";
import { forward, identityFaults, type Outcome, PORT, VNI } from "./mirror.ts";
import { type RealServer, type Served, start } from "./real-servers.ts";
import { numbered, SMUGGLING_CASES, type SmugglingCase } from "./smuggling-cases.ts";
import { finalStatuses, Tap, type TappedConnection, type Turn } from "./tap.ts";

const FIRST_MS = 1_760_000_000_000;
const FIRST_CLIENT_PORT = 20_000;
const SEGMENT_BYTES_MAX = 60_000;
const RESPONSE_TIMEOUT_MS = "4000";
const IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND"];
const OK = 200;
const UNKNOWN_PORT = 0;

export interface Smuggled {
  /** The faults of each case, by the case's number. */
  faults: Map<number, string[]>;
  /** The faults of the run as a whole. */
  total: string[];
}

/** Cases in one capture: all their connections are open at once, and more are too many for some servers. */
const BATCH_CASES = 60;

/** Captures of all cases, one connection for each case. */
function smugglingMirrors(): Uint8Array[] {
  const connections = SMUGGLING_CASES.map(({ segments }, number) => connectionOf(segments, number));
  const batches = Math.ceil(connections.length / BATCH_CASES);
  return Array.from({ length: batches }, (_, i) =>
    pcap(connections.slice(i * BATCH_CASES, (i + 1) * BATCH_CASES).flat()),
  );
}

function connectionOf(segments: string[], number: number): CapturedFrame[] {
  let sequence = 1000;
  const frame = (flags: string, payload = bytes()): CapturedFrame => {
    const client: Tcp = {
      source: "10.0.0.1",
      destination: "10.0.0.2",
      sourcePort: FIRST_CLIENT_PORT + number,
      destinationPort: PORT,
      sequence,
      acknowledgment: 1,
      flags,
      payload,
    };
    sequence += payload.length + (flags.includes("S") ? 1 : 0);
    return { frame: mirroredSegment(client, VNI), timestampMs: FIRST_MS + number };
  };
  return [
    frame("S"),
    ...segments.flatMap(sized).map((segment) => frame("PA", Uint8Array.from(Buffer.from(segment, "latin1")))),
    frame("FA"),
  ];
}

/** A segment, in pieces that fit into an IP packet. */
function sized(segment: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < segment.length; at += SEGMENT_BYTES_MAX) pieces.push(segment.slice(at, at + SEGMENT_BYTES_MAX));
  return pieces;
}

/** Starts the server, forwards all cases to it, and ends it. */
export async function smuggle(server: RealServer, directory: TemporaryDirectory): Promise<Smuggled> {
  const running = await start(server, directory);
  let served: Served[] = [];
  using tap = await Tap.before(running.port);
  const outcomes: Outcome[] = [];
  try {
    for (const savefile of smugglingMirrors()) {
      outcomes.push(
        await forward({ savefile }, tap.address, directory, ["--response-timeout-ms", RESPONSE_TIMEOUT_MS]),
      );
    }
  } finally {
    served = await running.stop();
  }
  const faults = new Map<number, string[]>();
  const blame = (number: number, words: string) => faults.set(number, [...(faults.get(number) ?? []), words]);
  const turns = tap.connections.flatMap((connection) => judged(connection, served, blame));
  for (const { target, id, port } of served) {
    const name = nameIn(target) ?? nameIn(id);
    if (name?.endsWith("/smuggled") === true)
      blame(Number(name.split("/")[0]), "the server has served what is smuggled");
    if (port !== UNKNOWN_PORT && !tap.connections.some((connection) => connection.port === port))
      blame(-1, `${target} came past the tap`);
  }
  SMUGGLING_CASES.forEach((each, number) => {
    const sent = turns.filter((turn) => turn.name.startsWith(`${numbered(number)}/`));
    for (const wrong of whatIsWrong(each, sent)) blame(number, wrong);
  });
  const total = [...outcomes.flatMap(({ counters }) => identityFaults(counters)), ...(faults.get(-1) ?? [])];
  for (const { status, stderr } of outcomes) if (status !== 0) total.push(`exit status ${status}: ${stderr}`);
  const forwarded = outcomes.reduce((sum, { counters }) => sum + counters.requests.forwarded, 0);
  if (forwarded !== turns.length)
    total.push(`${turns.length} requests were sent, and requests.forwarded is ${forwarded}`);
  faults.delete(-1);
  return { faults, total };
}

function isIsolated(number: number, name: string): boolean {
  return (
    SMUGGLING_CASES[number]?.forwards.split(" ").some((each) => each.replace("?", "") === `${name.split("/")[1]}!`) ??
    false
  );
}

interface JudgedTurn {
  /** `NNN/NAME` of its request line. */
  name: string;
  /** No other request was on its connection. */
  isAlone: boolean;
}

/** Compares a connection's turns with the server's log. Returns the requests; repeated ones count once. */
function judged(
  connection: TappedConnection,
  served: Served[],
  blame: (number: number, words: string) => void,
): JudgedTurn[] {
  const all = connection.turns.map((turn) => ({ name: nameOf(turn), statuses: finalStatuses(turn.response) }));
  const tunnel = connection.turns.findIndex(
    ({ request, response }) => request.startsWith("CONNECT ") && finalStatuses(response)[0] === OK,
  );
  const turns = tunnel < 0 ? all : all.slice(0, tunnel + 1);
  const last = turns.length - 1;
  turns.forEach(({ name, statuses }, i) => {
    const number = numberIn(name);
    if (statuses.length > 1)
      blame(number, `${name}: the server has sent ${statuses.length} responses: ${statuses.join(", ")}`);
    // Servers may disagree about the end of an isolated request: the wait delays no other request.
    const isWaiting = statuses.length === 0 && (i < last || connection.endedBy === "program");
    if (isWaiting && !isIsolated(number, name)) blame(number, `${name}: the server waits for more`);
  });
  const answered = turns.filter(({ statuses }) => statuses[0] === OK).map(({ name }) => name);
  // Some servers do not give their applications the client's port: then the names count.
  const handled = served
    .map(({ target, id, port }) => ({ name: nameIn(target) ?? nameIn(id) ?? target, port }))
    .filter(({ name, port }) => (port === UNKNOWN_PORT ? answered.includes(name) : port === connection.port))
    // The next batch may have used the port again.
    .filter(({ name }) => batchOf(name) === batchOf(turns[0]?.name ?? name))
    .slice(0, tunnel < 0 ? undefined : answered.length)
    .map(({ name }) => name);
  if (handled.join() !== answered.join()) {
    blame(
      numberIn(turns[0]?.name ?? handled[0]!),
      `sent ${answered.join(", ") || "nothing"}, and its handler has read ${handled.join(", ") || "nothing"}`,
    );
  }
  // Closed without a response: a request that may be repeated comes again on the next connection, and is counted there.
  return turns
    .filter(({ statuses, name }, i) => !(statuses.length === 0 && i === last && !isSentOnce(name, connection)))
    .map(({ name }) => ({ name, isAlone: turns.length === 1 }));
}

/** Whether this request is not sent again after the connection is closed. */
function isSentOnce(name: string, { turns }: TappedConnection): boolean {
  const { request } = turns.find((turn) => nameOf(turn) === name)!;
  return !IDEMPOTENT.some((method) => request.startsWith(`${method} `));
}

function nameOf({ request }: Turn): string {
  const line = request.slice(0, request.indexOf("\n") + 1);
  return nameIn(line) ?? nameIn(request) ?? JSON.stringify(request.slice(0, 40));
}

function nameIn(text: string): string | undefined {
  return /\d{3}\/[a-z]+/.exec(text)?.[0];
}

function batchOf(name: string): number {
  return Math.floor(numberIn(name) / BATCH_CASES);
}

function numberIn(name: string): number {
  return /^\d{3}\//.test(name) ? Number(name.slice(0, 3)) : -1;
}

/** Compares the sent requests with the expected ones. */
function whatIsWrong({ forwards }: SmugglingCase, sent: JudgedTurn[]): string[] {
  const wanted = forwards.split(" ").filter((name) => name !== "");
  const pattern = wanted.map((name) => (name.endsWith("?") ? `(${plain(name)} )?` : `${plain(name)} `)).join("");
  const names = sent.map(({ name }) => name.split("/")[1]!);
  const wrong = wanted
    .filter((name) => name.includes("!") && sent.some((turn) => turn.name.endsWith(`/${plain(name)}`) && !turn.isAlone))
    .map((name) => `${plain(name)} is not isolated`);
  if (new RegExp(`^${pattern}$`).test(names.map((name) => `${name} `).join(""))) return wrong;
  return [...wrong, `forwards ${names.join(" ") || "nothing"} instead of ${forwards || "nothing"}`];
}

function plain(name: string): string {
  return name.replace(/[?!]/g, "");
}
