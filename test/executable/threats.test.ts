/** What whoever can send to the mirror's port can make the program do (.github/SECURITY.md). */
import { expect, test } from "bun:test";
import { pcap } from "../support/frames.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { PORT, session, VNI } from "./sessions.ts";

/** Requests that name another host than the endpoint, in each way that there is. */
const naming: [how: string, request: (other: string) => string][] = [
  ["Host", (other) => `GET / HTTP/1.1\r\nHost: ${other}\r\n\r\n`],
  ["a whole URL as its target", (other) => `GET http://${other}/ HTTP/1.1\r\nHost: ${other}\r\n\r\n`],
  ["CONNECT", (other) => `CONNECT ${other} HTTP/1.1\r\nHost: ${other}\r\n\r\n`],
  ["Forwarded", (other) => `GET / HTTP/1.1\r\nHost: a\r\nForwarded: host=${other};proto=http\r\n\r\n`],
  ["a PROXY protocol header", () => "PROXY TCP4 127.0.0.1 127.0.0.1 40000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
];

test.each(naming)("a request that names another host by %s goes to the endpoint alone", async (_how, request) => {
  using directory = new TemporaryDirectory();
  using endpoint = new RecordingEndpoint();
  using other = new RecordingEndpoint();
  const text = request(other.address);
  const capture = directory.file("forged.pcap", pcap(session([text])));
  const flags = ["--response-timeout-ms", "100", "--fin-delay-ms", "0", "--read", capture];
  await run([...flags, String(VNI), String(PORT), endpoint.address]);
  expect(endpoint.text()).toBe(text);
  expect(other.connections).toEqual([]);
});

test("an endpoint that redirects is not followed", async () => {
  using directory = new TemporaryDirectory();
  using other = new RecordingEndpoint();
  const asked: string[] = [];
  await using endpoint = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch({ url }) {
      asked.push(new URL(url).pathname);
      return Response.redirect(`http://${other.address}/elsewhere`, 307);
    },
  });
  const capture = directory.file("one.pcap", pcap(session(["GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"])));
  const { status } = await run(["--read", capture, String(VNI), String(PORT), `127.0.0.1:${endpoint.port}`]);
  expect({ status, asked }).toEqual({ status: 0, asked: ["/hello"] });
  expect(other.connections).toEqual([]);
});
