/**
 * Run in a network namespace of its own. The program captures on lo with two threads; this script sends sessions in
 * every form of an encapsulation. It prints the outcome as JSON: of the forwarded sessions, and of those that were
 * recorded meanwhile and are read again.
 *
 *     bun encapsulations-inside.ts ENCAPSULATION
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Injector } from "../hostile/injector.ts";
import { WAYS } from "../support/encapsulations.ts";
import { bytes, ethernet, ip, TCP, tcp } from "../support/frames.ts";
import { run, start, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { session } from "./sessions.ts";

/** The length of the headers around a session's mirrored frames. */
const OUTER_LEN = 14 + 20 + 8 + 8;
const SESSIONS_PER_WAY = 30;
const VNI = 42;

export interface Inside {
  readonly status: number | null;
  /** Sorted. */
  readonly got: string[];
  readonly sent: string[];
  readonly recorded: string[];
  readonly counters: any;
}

const [encapsulation] = process.argv.slice(2) as [string];
const ways = WAYS.filter((way) => way.encapsulation === encapsulation);
const vnis = encapsulation === "none" ? "any" : encapsulation === "gre" ? "0,41,42" : "41,42";
using directory = new TemporaryDirectory();
const summary = join(directory.path, "summary.json");
using endpoint = new RecordingEndpoint();
const record = ["--record", join(directory.path, "ours.pcapng"), "--record-max-mib", "1"];
const flags = [...record, "--threads", "2", "--mode", "tcp", "--fin-delay-ms", "10", "--summary", summary];
const running = start([...flags, "--encapsulation", encapsulation, "lo", vnis, "80,8080", endpoint.address]);
await running.says("Capturing on lo");

using injector = new Injector();
const sent: string[] = [];
ways.forEach((way, w) => {
  for (let i = 0; i < SESSIONS_PER_WAY; i++) {
    const text = `${way.name} ${i}`;
    const port = 10_000 + w * 1000 + i;
    sent.push(text);
    const [syn, data, fin] = session([text], port).map(({ frame }) => frame.slice(OUTER_LEN));
    // The kernel must reject the server's bytes, and the bytes to another service.
    const other = (sourcePort: number, destinationPort: number) =>
      ethernet(
        ip(
          "10.0.0.2",
          "10.0.0.1",
          TCP,
          tcp({
            source: "",
            destination: "",
            sourcePort,
            destinationPort,
            sequence: 1,
            flags: "A",
            payload: bytes("x"),
          }),
        ),
      );
    for (const frame of [syn!, other(80, port), data!, other(port, 81), fin!]) injector.add(way.wrap(frame, VNI));
  }
});
injector.flush();
await endpoint.until(() => endpoint.connections.filter(({ closed }) => closed).length === sent.length);
running.signal("SIGTERM");
const { status } = await running.outcome;
const textsOf = (streams: Uint8Array[]) => streams.map((stream) => Buffer.from(stream).toString("latin1")).toSorted();
const got = textsOf(endpoint.streams());
using second = new RecordingEndpoint();
const files = readdirSync(directory.path).filter((name) => name.endsWith(".pcapng"));
const again = await run([
  ...files.flatMap((name) => ["--read", join(directory.path, name)]),
  ...["--mode", "tcp", "--fin-delay-ms", "10", "--encapsulation", encapsulation, vnis, "80,8080", second.address],
]);
if (again.status !== 0) throw new Error(again.stderr);
const inside: Inside = {
  status,
  got,
  sent: sent.toSorted(),
  recorded: textsOf(second.streams()),
  counters: JSON.parse(readFileSync(summary, "utf8")),
};
console.log(JSON.stringify(inside));
