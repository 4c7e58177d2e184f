/** HTTP/2 in clear text through the executable to real servers: every request is served once, with the same body. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { refusingAddress } from "../executable/recording-endpoint.ts";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { Authority, type Certificate } from "../support/authority.ts";
import { pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { http2Faults, http2Mirror, type Http2Options } from "./http2.ts";
import { forward, identityFaults } from "./mirror.ts";
import { stalled } from "./raw-endpoint.ts";
import { available, GO, GO_HTTP2, nginx, NODE, NODE_HTTP2, type RealServer, start } from "./real-servers.ts";
import { withTls } from "./tls-servers.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const NGINX = nginx({ listen: "http2" });

async function check(server: RealServer, options: Http2Options, flags: string[] = []) {
  const { savefile, wanted } = http2Mirror(new Random(17), options);
  const running = await start(server, directory);
  const mirror = { savefile, vni: VNI, port: PORT };
  const { counters, stderr } = await forward(mirror, `127.0.0.1:${running.port}`, directory, flags);
  const served = await running.stop();
  expect({ faults: http2Faults(wanted, served), stderr }).toEqual({ faults: [], stderr });
  expect(identityFaults(counters)).toEqual([]);
  const { seen, forwarded, answered, damaged } = counters.requests;
  const all = wanted.length;
  expect({ seen, forwarded, answered, damaged }).toEqual({ seen: all, forwarded: all, answered: all, damaged: 0 });
  expect(counters.http2.connections).toBe(options.connections);
  return counters;
}

for (const server of available([NGINX, NODE_HTTP2, GO_HTTP2], "HTTP/2")) {
  test.concurrent(`${server.name}: requests of every kind, several at a time`, async () => {
    await check(server, { connections: 10, requests: 40, hasTrailers: server !== NGINX });
  }, 30_000);
}

describe.concurrent.skipIf(NGINX.missing() !== undefined)("nginx", () => {
  const GETS = { bodyLengths: [0, 100] };

  test("ends a connection after 20 requests: those that it did not process go on another connection", async () => {
    const server = nginx({ listen: "http2", directives: "keepalive_requests 20;" });
    const counters = await check(server, { connections: 4, requests: 300, concurrency: 16, ...GETS });
    expect(counters.http2.goaways).toBeGreaterThanOrEqual(4 * (300 / 20 - 1));
  }, 30_000);

  test("takes 8 requests at a time: not more are under way", async () => {
    const server = nginx({ listen: "http2", directives: "http2_max_concurrent_streams 8;" });
    const counters = await check(server, { connections: 4, requests: 200, concurrency: 64, ...GETS });
    expect(counters.http2).toMatchObject({ resets: 0, resent: 0 });
  }, 30_000);
});

const pair = available([NODE_HTTP2, NGINX], "HTTP/2 to further destinations");

describe.concurrent.skipIf(pair.length < 2)("further destinations", () => {
  for (const [endpoint, other] of [pair, pair.toReversed()] as [RealServer, RealServer][]) {
    test(`${endpoint.name}, ${other.name}, one that is away and one that is stalled: two serve all`, async () => {
      const options = { connections: 6, requests: 20 };
      const { savefile, wanted } = http2Mirror(new Random(29), options);
      const running = [await start(endpoint, directory), await start(other, directory)];
      const still = await stalled();
      const [address, also] = running.map(({ port }) => `127.0.0.1:${port}`) as [string, string];
      const flags = ["--also", also, "--also", refusingAddress(), "--also", still.address];
      const limits = ["--response-timeout-ms", "2000", "--outage-timeout-s", "1"];
      const mirror = { savefile, vni: VNI, port: PORT };
      const { status, counters } = await forward(mirror, address, directory, [...flags, ...limits]);
      still.close();
      for (const each of running) expect(http2Faults(wanted, await each.stop())).toEqual([]);
      expect(status).toBe(0);
      const all = { seen: wanted.length, forwarded: wanted.length, answered: wanted.length };
      const [served, away, silent] = counters.destinations;
      expect(counters.requests).toMatchObject(all);
      expect(served.requests).toMatchObject(all);
      expect(away.requests).toMatchObject({ seen: wanted.length, dropped: { endpoint_down: wanted.length } });
      expect(silent.requests).toMatchObject({ seen: wanted.length, forwarded: 0 });
      for (const each of [counters, ...counters.destinations]) {
        expect(identityFaults(each)).toEqual([]);
        expect(each.http2.connections).toBe(options.connections);
      }
    }, 30_000);
  }
});

const hasOpenssl = Bun.which("openssl") !== null;
if (!hasOpenssl) console.warn("skipped: HTTP/2 to endpoints that speak TLS (openssl is not installed)");

describe.concurrent.if(hasOpenssl)("https:// endpoints", () => {
  let authority: Authority;
  let certificate: Certificate;
  let trusting: string[];

  beforeAll(() => {
    authority = new Authority(directory.path);
    certificate = authority.issue();
    trusting = ["--tls-ca", authority.cert];
  });

  const SOME = { connections: 4, requests: 30 };
  const FIRST_PLAIN_PORT = 50_000;
  const PLAIN = ["/a", "/b"].map((path) => `GET ${path} HTTP/1.1\r\nHost: production.example\r\n\r\n`);

  for (const server of available([nginx(), NODE_HTTP2, GO], "HTTP/2 over TLS")) {
    test(`${server.name}: requests of every kind, at this server and at a further one`, async () => {
      const { savefile, wanted } = http2Mirror(new Random(31), SOME);
      const running = await Promise.all([0, 1].map(() => start(secure(server), directory)));
      const [address, also] = running.map(({ port }) => `https://localhost:${port}`) as [string, string];
      const flags = [...trusting, "--also", also];
      const mirror = { savefile, vni: VNI, port: PORT };
      const { counters, status, stderr } = await forward(mirror, address, directory, flags);
      for (const each of running) expect(http2Faults(wanted, await each.stop())).toEqual([]);
      expect(status).toBe(0);
      expect(stderr).not.toContain("WARN");
      const all = { seen: wanted.length, forwarded: wanted.length, answered: wanted.length };
      for (const each of [counters, ...counters.destinations]) {
        expect(each.requests).toMatchObject(all);
        expect(identityFaults(each)).toEqual([]);
      }
    }, 30_000);
  }

  const without: [server: RealServer, protocol: string, served: "HTTP/1.1" | "HTTP/2"][] = [
    [NODE, "HTTP/2 over TLS (ALPN h2)", "HTTP/1.1"],
    [nginx(), "HTTP/2 over TLS (ALPN h2)", "HTTP/1.1"],
    [NODE_HTTP2, "HTTP/1.1 over TLS (ALPN http/1.1)", "HTTP/2"],
  ];
  for (const [server, protocol, servedProtocol] of without.filter(([{ missing }]) => missing() === undefined)) {
    test(`${server.name} does not speak ${protocol}: this is counted and reported, and the other requests are served`, async () => {
      const { frames, wanted } = http2Mirror(new Random(37), SOME);
      const savefile = pcap([...frames, ...session(PLAIN, FIRST_PLAIN_PORT)]);
      const running = await start(secure(server, false), directory);
      const mirror = { savefile, vni: VNI, port: PORT };
      const address = `https://localhost:${running.port}`;
      const { status, counters, stderr } = await forward(mirror, address, directory, trusting);
      const [served, dropped] =
        servedProtocol === "HTTP/2" ? [wanted.length, PLAIN.length] : [PLAIN.length, wanted.length];
      expect((await running.stop()).length).toBe(served);
      expect(counters.requests).toMatchObject({
        seen: served + dropped,
        answered: served,
        dropped: { endpoint_protocol: dropped },
      });
      expect(identityFaults(counters)).toEqual([]);
      expect(status).toBe(1);
      expect(stderr).toContain(`it does not speak ${protocol}: turn `);
      expect(stderr).not.toContain("Cannot connect");
    }, 30_000);
  }

  test.skipIf(NODE_HTTP2.missing() !== undefined)(
    "one that asks for a client certificate and gets none is reported as such",
    async () => {
      const { savefile } = http2Mirror(new Random(41), { connections: 2, requests: 3 });
      const running = await start(
        withTls(NODE_HTTP2, { certificate, hasHttp2: true, clientAuthority: authority.cert }),
        directory,
      );
      const mirror = { savefile, vni: VNI, port: PORT };
      const { counters, stderr } = await forward(mirror, `https://localhost:${running.port}`, directory, trusting);
      expect(await running.stop()).toEqual([]);
      expect(stderr).toContain("if it asks for a client certificate, give --tls-cert and --tls-key");
      expect(counters.upstream).toMatchObject({ closed: 0, broken: counters.upstream.connects });
      expect(counters.requests).toMatchObject({ seen: 6, dropped: { endpoint_closed: 6 } });
      expect(identityFaults(counters)).toEqual([]);
    },
  );

  const secure = (server: RealServer, hasHttp2 = true) => withTls(server, { certificate, hasHttp2 });
});
