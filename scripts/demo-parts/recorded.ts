/** scripts/demo: forwards a mirror capture that it makes to an endpoint of its own, and compares. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pcap } from "../../test/support/frames.ts";
import { findProgram, QUIETLY, take } from "./program.ts";
import {
  bold,
  dim,
  DONE,
  FAILED,
  heading,
  HOLE,
  marked,
  paragraph,
  type Row,
  table,
  totals,
  verdict,
} from "./screen.ts";
import { type Received, Server } from "./server.ts";
import { makeNoise, makeSessions, PORT, type Session, sha256, VNI } from "./sessions.ts";

const sessions = makeSessions();
const noise = makeNoise();
const frames = [...sessions.flatMap((session) => session.frames), ...noise].sort(
  (a, b) => a.timestampMs - b.timestampMs,
);

const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-demo-"));
let isRight = false;
try {
  isRight = await show(join(directory, "mirror.pcap"));
} finally {
  rmSync(directory, { recursive: true });
}
process.exit(isRight ? 0 : 1);

/** Runs the program on the capture and shows what becomes of it. Returns whether it is as it should be. */
async function show(capture: string): Promise<boolean> {
  await Bun.write(capture, pcap(frames));
  const endpoint = new Server("127.0.0.1", 0);
  const program = findProgram();
  console.log(bold("What clients sent to production is sent once more, to a test endpoint:"));
  console.log(dim("   production ── its mirror ──▶ vxlan-to-http ── new connections ──▶ endpoint"));

  heading("1. Mirrored");
  paragraph(
    `mirror.pcap: ${frames.length} packets as AWS mirrors them (VXLAN, VNI ${VNI}): ${sessions.length} clients of a web server's port ${PORT}, ` +
      `its answers, and ${noise.length} packets of noise (another VNI, another port, DNS).`,
  );

  heading("2. Forwarded");
  const positionals = [String(VNI), String(PORT), `127.0.0.1:${endpoint.port}`];
  paragraph([program.name, "--mode tcp --read mirror.pcap", ...positionals].join(" "));
  const begun = performance.now();
  const command = [...program.command, ...QUIETLY.flags, "--mode", "tcp", "--read", capture, ...positionals];
  const running = Bun.spawn(command, { env: QUIETLY.env, stderr: "pipe" });
  const stderr = await new Response(running.stderr).text();
  const status = await running.exited;
  const took = Math.round(performance.now() - begun);
  endpoint.stop();
  if (status !== 0) {
    verdict(false, `The program's exit status is ${status}. It says:\n${stderr}`);
    return false;
  }
  paragraph(`took ${took} ms; the endpoint is a small web server of this demo`, dim);

  heading("3. Arrived, in bytes per connection");
  const arrived = endpoint.received;
  const outcomes = sessions.map((session) => outcomeOf(session, arrived));
  table(outcomes.map(({ row }) => row));
  console.log();
  paragraph(marked(`${DONE} the SHA-256 of what arrived is that of what the client sent`));
  for (const { note } of outcomes) if (note !== undefined) paragraph(marked(note));
  for (const { bytes, sha256 } of arrived)
    paragraph(
      marked(`${FAILED} a connection brought ${bytes} bytes that no client sent (SHA-256 ${sha256.slice(0, 8)}…)`),
    );

  heading("4. The program's own account");
  totals(stderr);
  const isRight = arrived.length === 0 && outcomes.every(({ row }) => row.mark !== FAILED);
  verdict(
    isRight,
    isRight ? "Every byte that was mirrored arrived, in order, and nothing else." : "That is not as it should be.",
  );
  return isRight;
}

/** Finds a session's connection among those that arrived, by its digest, and takes it out. */
function outcomeOf(
  { client, requests, onTheWay, sent, captured }: Session,
  arrived: Received[],
): { row: Row; note?: string } {
  const row = { client, requests, onTheWay, sentBytes: sent.length };
  const missingBytes = sent.length - captured.length;
  const found = take(arrived, sha256(captured));
  if (found === undefined)
    return {
      row: { ...row, arrivedBytes: 0, mark: FAILED },
      note: `${FAILED} no connection brought what ${client} sent`,
    };
  if (missingBytes === 0) return { row: { ...row, arrivedBytes: found.bytes, mark: DONE } };
  const note = `${HOLE} ${missingBytes} bytes were in a packet that got lost before it was captured: nobody has them. The rest was sent on, and the hole counted.`;
  return { row: { ...row, arrivedBytes: found.bytes, mark: HOLE }, note };
}
