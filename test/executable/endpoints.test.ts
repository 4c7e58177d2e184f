/** Mode http through the real executable to real servers: segments that begin and end in the middle of requests. */
import { describe, expect, test } from "bun:test";
import { BUN, GO, installed, NODE, PYTHON, type Server } from "../live/endpoints.ts";
import { Program } from "../live/lab.ts";
import { pcap } from "../support/frames.ts";
import { freePort } from "../support/free-port.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { PORT, session, VNI } from "./sessions.ts";

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: production.example\r\n\r\n`;
}

function post(path: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: production.example\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
}

function chunked(path: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: production.example\r\nTransfer-Encoding: chunked\r\n\r\n${path.length.toString(16)}\r\n${path}\r\n0\r\n\r\n`;
}

function said(request: string): string {
  const [method, path] = request.split(" ") as [string, string];
  return method === "GET" ? `GET ${path}` : `POST ${path} ${Bun.SHA256.hash(path, "hex")}`;
}

/** Requests of each kind, each on its own path. */
const REQUESTS = Array.from({ length: 60 }, (_, i) => [get, post, chunked][i % 3]!(`/${i}`));
const STREAM = REQUESTS.join("");

/** Cuts the stream within each empty line, `at` bytes into "\r\n\r\n". */
function cutInEmptyLines(at: number): string[] {
  return STREAM.replaceAll("\r\n\r\n", (line) => `${line.slice(0, at)}\0${line.slice(at)}`).split("\0");
}

const SEGMENTS: { name: string; pieces: string[] }[] = [
  { name: "in one segment", pieces: [STREAM] },
  { name: "one to a segment", pieces: REQUESTS },
  ...[1, 2, 3].map((at) => ({ name: `cut ${at} bytes into each empty line`, pieces: cutInEmptyLines(at) })),
  { name: "a byte to a segment", pieces: [...STREAM] },
];

async function startServer(server: Server) {
  const port = freePort();
  const program = new Program(
    Bun.spawn([...server.command!, String(port), "0"], { stdin: "ignore", stdout: "pipe", stderr: "pipe" }),
  );
  await program.until(({ stdout }) => stdout.includes("ready"));
  return { program, port };
}

for (const server of installed([NODE, BUN, GO, PYTHON])) {
  describe.concurrent(`${server.name} gets requests whole and in order, and finds none malformed`, () => {
    for (const { name, pieces } of SEGMENTS) {
      test(name, async () => {
        using directory = new TemporaryDirectory();
        const { program, port } = await startServer(server);
        try {
          const summary = directory.file("summary.json", "");
          const capture = directory.file("mirror.pcap", pcap(session(pieces)));
          const { status } = await run([
            "--summary",
            summary,
            "--read",
            capture,
            String(VNI),
            String(PORT),
            `127.0.0.1:${port}`,
          ]);
          expect(status).toBe(0);
          const { requests, responses } = await Bun.file(summary).json();
          expect(requests).toMatchObject({
            seen: REQUESTS.length,
            forwarded: REQUESTS.length,
            answered: REQUESTS.length,
          });
          expect(responses).toMatchObject({ "2xx": REQUESTS.length, unanswered: 0 });
        } finally {
          await program.end("SIGTERM");
        }
        expect(program.stderr).not.toContain("malformed");
        expect(program.stdout.trim().split("\n").slice(1)).toEqual(REQUESTS.map(said));
      });
    }
  });
}
