/** scripts/demo: forwards a mirror capture, which it makes, to its own endpoint, and compares. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pcap } from "../../test/support/frames.ts";
import { findProgram, QUIETLY, take } from "./program.ts";
import {
  account,
  bold,
  type Counters,
  dim,
  DONE,
  FAILED,
  heading,
  HOLE,
  marked,
  paragraph,
  type Row,
  table,
  verdict,
  warnings,
} from "./screen.ts";
import { type Received, Server } from "./server.ts";
import { makeNoise, makeSessions, PORT, type Sent, type Session, sha256, VNI } from "./sessions.ts";

const sessions = makeSessions();
const noise = makeNoise();
const frames = [...sessions.flatMap((session) => session.frames), ...noise].sort(
  (a, b) => a.timestampMs - b.timestampMs,
);

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-demo-"));
let isRight = false;
try {
  isRight = await show(join(directory, "mirror.pcap"), join(directory, "summary.json"));
} finally {
  rmSync(directory, { recursive: true });
}
process.exit(isRight ? 0 : 1);

/** Runs the program on the capture and shows the outcome. Returns whether it is right. */
async function show(capture: string, summary: string): Promise<boolean> {
  await Bun.write(capture, pcap(frames));
  const endpoint = new Server("127.0.0.1", 0);
  const program = findProgram();
  console.log(bold("Production's requests are sent once more, to a test endpoint:"));
  console.log(dim("   production ── its mirror ──▶ vxlan-to-http ── new connections ──▶ endpoint"));

  heading("1. Mirrored");
  paragraph(
    `mirror.pcap: ${frames.length} packets as AWS mirrors them (VXLAN, VNI ${VNI}): ${sessions.length} clients of a web server's port ${PORT}, ` +
      `its responses, and ${noise.length} packets of noise (another VNI, another port, DNS).`,
  );

  heading("2. Forwarded");
  const positionals = [String(VNI), String(PORT), `127.0.0.1:${endpoint.port}`];
  paragraph([program.name, "--read mirror.pcap", ...positionals].join(" "));
  const begun = performance.now();
  const command = [...program.command, ...QUIETLY.flags, "--summary", summary, "--read", capture, ...positionals];
  const running = Bun.spawn(command, { env: QUIETLY.env, stderr: "pipe" });
  const stderr = await new Response(running.stderr).text();
  const status = await running.exited;
  const took = Math.round(performance.now() - begun);
  endpoint.stop();
  if (status !== 0) {
    verdict(false, `The program's exit status is ${status}. Its messages:\n${stderr}`);
    return false;
  }
  paragraph(`took ${took} ms; the endpoint is a small web server of this demo`, dim);

  heading("3. Production's requests, and the arrived ones");
  const arrived = [...endpoint.received];
  const rows = sessions.flatMap((session) => session.requests.map((sent) => rowOf(session, sent, arrived)));
  table(rows);
  console.log();
  paragraph(marked(`${DONE} the arrived request has the same SHA-256 as the client's`));
  paragraph(marked(`${HOLE} a packet was lost before the capture: the request is never sent as whole`));
  for (const { line } of arrived) paragraph(marked(`${FAILED} ${line} arrived, but no client sent it`));

  heading("4. The program's counters");
  warnings(stderr);
  const counters = (await Bun.file(summary).json()) as Counters;
  const lost = rows.filter(({ mark }) => mark === HOLE).length;
  const agrees = counters.requests.damage["gap"] === lost && counters.requests.answered === rows.length - lost;
  const isRight = account(counters) && agrees && arrived.length === 0 && rows.every(({ mark }) => mark !== FAILED);
  verdict(
    isRight,
    isRight ? "Every request whose packets all came has arrived, byte for byte, and no other." : "This is wrong.",
  );
  return isRight;
}

/** Finds a request among the arrived ones, by its digest, and removes it. */
function rowOf({ client, onTheWay }: Session, { line, bytes, isWhole }: Sent, arrived: Received[]): Row {
  const row = { client, line, onTheWay: isWhole && onTheWay === "1 lost" ? "in order" : onTheWay, bytes: bytes.length };
  const found = take(arrived, sha256(bytes));
  if (found === undefined) return { ...row, arrived: isWhole ? "nothing" : "damaged", mark: isWhole ? FAILED : HOLE };
  return { ...row, arrived: found.bytes.toLocaleString("en-US"), mark: isWhole ? DONE : FAILED };
}
