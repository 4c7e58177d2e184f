/** PROXY protocol headers before the first request, to nginx, which reads them, and to a server that does not. */
import { afterAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { address, pcap, u16 } from "../support/frames.ts";
import { forward, identityFaults, type Outcome } from "./mirror.ts";
import { RawEndpoint } from "./raw-endpoint.ts";
import { available, nginx, nginxLog, type NginxLine, start } from "./real-servers.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const CLIENT = "203.0.113.7";
const CLIENT_V6 = "2001:db8::7";
const LOCAL = 0x20;
const PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;

/** A version 2 header: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2. */
function v2(command: number, family: number, addresses: number[], extensions: number[] = []): string {
  const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
  const body = [...addresses, ...extensions];
  return String.fromCharCode(...signature, command, family, ...u16(body.length), ...body);
}

/** The server's port is no letter; otherwise the request line behind it would begin with it. */
const PORTS = [...u16(51_000), ...u16(8080)];
/** An extension of type PP2_TYPE_AWS. */
const VPC_ENDPOINT = [0xea, ...u16(3), 1, 0x76, 0x70];

interface Header {
  name: string;
  header: string;
  /** The client's address in the header. */
  client: string;
}

const HEADERS: Header[] = [
  { name: "version 1", header: `PROXY TCP4 ${CLIENT} 10.0.0.3 51000 80\r\n`, client: CLIENT },
  { name: "version 1, IPv6", header: `PROXY TCP6 ${CLIENT_V6} 2001:db8::1 51000 80\r\n`, client: CLIENT_V6 },
  {
    name: "version 2",
    header: v2(PROXY, TCP_OVER_IPV4, [...address(CLIENT), ...address("10.0.0.3"), ...PORTS]),
    client: CLIENT,
  },
  {
    name: "version 2 with extensions",
    header: v2(PROXY, TCP_OVER_IPV4, [...address(CLIENT), ...address("10.0.0.3"), ...PORTS], VPC_ENDPOINT),
    client: CLIENT,
  },
  {
    name: "version 2, IPv6",
    header: v2(PROXY, TCP_OVER_IPV6, [...address(CLIENT_V6), ...address("2001:db8::1"), ...PORTS]),
    client: CLIENT_V6,
  },
];

const REQUESTS = [1, 2, 3].map((i) => `GET /${i} HTTP/1.1\r\nHost: prod.example\r\n\r\n`);

/** The header in its own segment, with the first request, or cut in its middle. */
const SEGMENTS: [string, (header: string) => string[]][] = [
  ["in a segment of its own", (header) => [header, ...REQUESTS]],
  ["with the first request", (header) => [header + REQUESTS[0], ...REQUESTS.slice(1)]],
  ["cut", (header) => [header.slice(0, 5), header.slice(5, 14), header.slice(14), ...REQUESTS]],
];

function run(segments: string[], address: string, flags: string[]): Promise<Outcome> {
  const savefile = pcap(session(segments.map((segment) => Uint8Array.from(Buffer.from(segment, "latin1")))));
  return forward({ savefile, vni: VNI, port: PORT }, address, directory, flags);
}

function expectThree({ status, counters }: Outcome): void {
  expect(counters.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3, damaged: 0 });
  expect(identityFaults(counters)).toEqual([]);
  expect(status).toBe(0);
}

for (const _ of available([nginx()], "PROXY protocol")) {
  describe.concurrent.each(HEADERS)("$name", ({ header, client }) => {
    test.each(SEGMENTS)("passed to nginx that reads it, on each connection; %s", async (_name, segments) => {
      let lines: NginxLine[] = [];
      // One request a connection: the header must be on each connection.
      const reading = {
        ...nginx({ listen: "proxy_protocol", directives: "keepalive_requests 1;" }),
        read: (log: string) => (lines = nginxLog(log)),
      };
      const running = await start(reading, directory);
      const outcome = await run(segments(header), `127.0.0.1:${running.port}`, []).finally(() => running.stop());
      expect(lines.map(({ target, status, client }) => ({ target, status, client }))).toEqual(
        [1, 2, 3].map((i) => ({ target: `/${i}`, status: 200, client })),
      );
      expectThree(outcome);
    });

    test("stripped for an nginx that does not read it", async () => {
      const running = await start(nginx(), directory);
      const outcome = await run([header, ...REQUESTS], `127.0.0.1:${running.port}`, ["--proxy-protocol", "strip"]);
      expect((await running.stop()).map(({ target }) => target)).toEqual(["/1", "/2", "/3"]);
      expectThree(outcome);
    });
  });
}

describe.concurrent("without nginx", () => {
  test.each(HEADERS)("--mark has the address of $name", async ({ header, client }) => {
    using endpoint = await RawEndpoint.listen();
    const outcome = await run([header, ...REQUESTS], endpoint.address, ["--proxy-protocol", "strip", "--mark"]);
    expect(endpoint.requests().map((request) => /X-Mirrored-From: (.*)\r\n/i.exec(request)?.[1])).toEqual([
      client,
      client,
      client,
    ]);
    expectThree(outcome);
  });

  test.each(HEADERS)("$name is passed byte for byte", async ({ header }) => {
    using endpoint = await RawEndpoint.listen();
    const outcome = await run([header, ...REQUESTS], endpoint.address, []);
    expect(endpoint.connections.map(({ preamble }) => preamble)).toEqual([header]);
    expectThree(outcome);
  });

  test("a version 2 health check, LOCAL with no bytes behind it, is no damage and causes no warning", async () => {
    using endpoint = await RawEndpoint.listen();
    const { status, stderr, counters } = await run([v2(LOCAL, 0, [])], endpoint.address, []);
    expect(endpoint.requests()).toEqual([]);
    expect(counters.requests).toMatchObject({ seen: 0, damaged: 0 });
    expect(counters.foreign).toMatchObject({ tls: 0, http2: 0, unknown: 0 });
    expect(stderr).not.toMatch(/WARN|ERROR/);
    expect(status).toBe(0);
  });

  test("LOCAL before requests: the connection's own address is the client's", async () => {
    using endpoint = await RawEndpoint.listen();
    const outcome = await run([v2(LOCAL, 0, []), ...REQUESTS], endpoint.address, [
      "--proxy-protocol",
      "strip",
      "--mark",
    ]);
    expect(endpoint.requests().map((request) => /X-Mirrored-From: (.*)\r\n/i.exec(request)?.[1])).toEqual([
      "10.0.0.1",
      "10.0.0.1",
      "10.0.0.1",
    ]);
    expectThree(outcome);
  });
});
