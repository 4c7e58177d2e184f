/** Large uploads from a savefile to a slow endpoint: they wait, and none is lost. */
import { PORT, session, VNI } from "../../test/executable/sessions.ts";
import type { TemporaryDirectory } from "../../test/executable/program.ts";
import { forward, identityFaults } from "../../test/servers/mirror.ts";
import { OK, RawEndpoint } from "../../test/servers/raw-endpoint.ts";
import { pcap } from "../../test/support/frames.ts";
import type { Part, Row } from "./table.ts";

const SEGMENT_BYTES = 60_000;
const POST_BYTES = 900_000;
const POSTS = 340;
const POST_MS = 20;
const LARGE_BYTES = 24 << 20;
const GET_MS = 500;

const GET = "GET /get HTTP/1.1\r\nHost: prod.example\r\n\r\n";

function post(target: string, bytes: number): string {
  return `POST ${target} HTTP/1.1\r\nHost: prod.example\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
}

async function upload(what: string, requests: string[], delayMs: number, directory: TemporaryDirectory): Promise<Row> {
  const sizes: number[] = [];
  using endpoint = await RawEndpoint.listen({
    respond: ({ socket, requests }, request) => {
      sizes.push(request.length);
      // A third of a gigabyte: only the sizes are kept.
      requests.length = 0;
      requests.push("");
      setTimeout(() => socket.write(OK), delayMs);
    },
  });
  const stream = requests.join("");
  const pieces = Array.from({ length: Math.ceil(stream.length / SEGMENT_BYTES) }, (_, i) =>
    stream.slice(i * SEGMENT_BYTES, (i + 1) * SEGMENT_BYTES),
  );
  const begin = performance.now();
  const mirror = { savefile: pcap(session(pieces)), vni: VNI, port: PORT };
  const { status, counters } = await forward(mirror, endpoint.address, directory);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  const faults = identityFaults(counters);
  const wanted = requests.map(({ length }) => length);
  if (sizes.join() !== wanted.join())
    faults.push(
      `${sizes.length} of ${wanted.length} were served; dropped: ${JSON.stringify(counters.requests.dropped)}`,
    );
  if (status !== 0) faults.push(`exit status ${status}`);
  return {
    part: "uploads",
    server: what,
    plainly: wanted.length,
    mirrored: sizes.length,
    note: `${seconds} s`,
    faults,
  };
}

export const uploads: Part = async (directory) => [
  await upload("24 MiB behind a GET", [GET, post("/large", LARGE_BYTES), GET], GET_MS, directory),
  await upload(
    "340 POSTs of 900 kB",
    Array.from({ length: POSTS }, (_, i) => post(`/${i}`, POST_BYTES)),
    POST_MS,
    directory,
  ),
];
