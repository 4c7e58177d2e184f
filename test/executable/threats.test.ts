/** The possible effects of an attacker who can send to the mirror's port (.github/SECURITY.md). */
import { expect, test } from "bun:test";
import { pcap } from "../support/frames.ts";
import { run, start, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { exchanges, PORT, session, VNI } from "./sessions.ts";

/** Requests that name another host than the endpoint, in every possible way. */
const naming: [how: string, request: (other: string) => string][] = [
  ["Host", (other) => `GET / HTTP/1.1\r\nHost: ${other}\r\n\r\n`],
  ["a whole URL as its target", (other) => `GET http://${other}/ HTTP/1.1\r\nHost: ${other}\r\n\r\n`],
  ["CONNECT", (other) => `CONNECT ${other} HTTP/1.1\r\nHost: ${other}\r\n\r\n`],
  ["Forwarded", (other) => `GET / HTTP/1.1\r\nHost: a\r\nForwarded: host=${other};proto=http\r\n\r\n`],
  ["a PROXY protocol header", () => "PROXY TCP4 127.0.0.1 127.0.0.1 40000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
];

test.each(naming)("a request that names another host by %s goes only to the endpoint", async (_how, request) => {
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

test("redirects of the endpoint are not followed", async () => {
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

test("the content of clients and the endpoint is text on the page, and cannot run or load anything", async () => {
  const script = "<script>alert(1)</script><img/src=//evil.example/onerror=alert(1)>";
  const response = (who: string) => {
    const [body, name] = [`{"${script}": "${script} of ${who}"}`, "X-<script>"];
    return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${name}: ${who}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  using endpoint = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.write(response("the endpoint")) },
  });
  const frames = exchanges([[`GET /${script}?a=${script} HTTP/1.1\r\nHost: a\r\n\r\n`, response("production")]]);
  const flags = ["--admin", "0", "--compare", "--read", "-", String(VNI), String(PORT), `127.0.0.1:${endpoint.port}`];
  using running = start(flags, { stdin: "open" });
  const [url] = (await running.line("status page at ")).match(/http:\S+/)!;
  await running.write(pcap(frames));
  const compared = async () => {
    const page = await fetch(`${url}compare`);
    return { page, text: await page.text() };
  };
  let seen = await compared();
  while (JSON.parse(seen.text).different === 0) {
    await Bun.sleep(50);
    seen = await compared();
  }
  // In JSON the text is unchanged, because browsers neither show JSON as a page nor take it for one.
  expect(seen.text).toContain("onerror");
  expect(seen.page.headers.get("content-type")).toBe("application/json");
  expect(seen.page.headers.get("x-content-type-options")).toBe("nosniff");
  const page = await fetch(url!);
  const html = await page.text();
  expect(html).toContain("onerror");
  expect(html.match(/<script>/g)).toHaveLength(1);
  expect(html).not.toMatch(/<img/);
  const policy = new Map(
    page.headers
      .get("content-security-policy")!
      .split("; ")
      .map((rule) => [rule.split(" ")[0], rule.slice(rule.indexOf(" ") + 1)]),
  );
  const own = new Bun.CryptoHasher("sha256").update(/<script>(.*?)<\/script>/s.exec(html)![1]!).digest("base64");
  expect(Object.fromEntries(policy)).toEqual({
    "default-src": "'none'",
    "connect-src": "'self'",
    "style-src": "'unsafe-inline'",
    "img-src": "data:",
    "script-src": `'sha256-${own}'`,
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
  });
  await running.closeStdin();
  expect((await running.outcome).status).toBe(0);
});
