/** Endpoints that speak TLS: real servers, with certificates of the test's own authority. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { Authority, type Certificate } from "../support/authority.ts";
import { pcap } from "../support/frames.ts";
import { freePort } from "../support/free-port.ts";
import { forward, identityFaults } from "./mirror.ts";
import { OK, RawEndpoint } from "./raw-endpoint.ts";
import { type Setting, upload, withTls } from "./tls-servers.ts";
import { available, BUN, GO, nginx, NODE, type RealServer, type Served, start } from "./real-servers.ts";

const hasOpenssl = Bun.which("openssl") !== null;
if (!hasOpenssl) console.warn("skipped: endpoints that speak TLS (openssl is not installed)");

const NAME = "localhost";
const CONNECTIONS = 3;
const REQUESTS_PER_CONNECTION = 4;
const REQUESTS = CONNECTIONS * REQUESTS_PER_CONNECTION;
const UPLOAD_BYTES = 8 << 20;
const SEGMENT_BYTES = 8000;
/** The number of requests that an endpoint serves before it goes away, and the time until it is back. */
const RESTART_AFTER = 5;
const AWAY_MS = 200;

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: production.example\r\n\r\n`;
const sessions = Array.from({ length: CONNECTIONS }, (_, connection) =>
  session(
    Array.from({ length: REQUESTS_PER_CONNECTION }, (_, i) => get(`/${connection}-${i}`)),
    40_000 + connection,
  ),
);
const mine = { savefile: pcap(sessions.flat()), vni: VNI, port: PORT };
const targets = sessions.flatMap((_, connection) =>
  Array.from({ length: REQUESTS_PER_CONNECTION }, (_, i) => `/${connection}-${i}`),
);
/** Bun's servers report the whole URL. */
const pathOf = (target: string) => target.replace(/^https?:\/\/[^/]*/, "");

describe.concurrent.if(hasOpenssl)("an https:// endpoint", () => {
  let authority: Authority;
  let other: Authority;
  let rsa: Certificate;
  let ecdsa: Certificate;

  beforeAll(() => {
    authority = new Authority(directory.path);
    other = new Authority(directory.path, "other authority");
    rsa = authority.issue({ algorithm: "rsa" });
    ecdsa = authority.issue();
  });

  async function forwardTo(server: RealServer, setting: Partial<Setting>, flags: string[] = [], host = NAME) {
    const running = await start(withTls(server, { certificate: ecdsa, ...setting }), directory);
    const outcome = await forward(mine, `https://${host}:${running.port}`, directory, flags);
    return { ...outcome, served: (await running.stop()).map(({ target }) => pathOf(target)).sort() };
  }

  const trusting = (flags: string[] = []) => ["--tls-ca", authority.cert, ...flags];
  const servers = available([nginx(), NODE, BUN, GO], "TLS");
  const all = { seen: REQUESTS, forwarded: REQUESTS, answered: REQUESTS };

  test.each(servers.map((server) => [server.name, server] as const))("%s serves all", async (_name, server) => {
    const { status, stderr, served, counters } = await forwardTo(server, { certificate: rsa }, trusting());
    expect({ status, served }).toEqual({ status: 0, served: targets });
    expect(counters.requests).toMatchObject(all);
    expect(counters.upstream).toMatchObject({ connects: CONNECTIONS, closed: CONNECTIONS, connect_errors: 0 });
    expect(identityFaults(counters)).toEqual([]);
    expect(stderr).not.toContain("WARN");
  });

  const none = (): string[] => [];
  const settings: [what: string, setting: () => Partial<Setting>, flags: () => string[], host: string][] = [
    ["an RSA certificate and TLS 1.2", () => ({ certificate: rsa, version: "TLSv1.2" }), none, NAME],
    ["an ECDSA certificate and TLS 1.3", () => ({ certificate: ecdsa }), none, NAME],
    ["an ECDSA certificate and TLS 1.2", () => ({ certificate: ecdsa, version: "TLSv1.2" }), none, NAME],
    ["a certificate for its address", () => ({ certificate: ecdsa }), none, "127.0.0.1"],
    [
      "a certificate for another name, which is asked for",
      () => ({ certificate: authority.issue({ names: "DNS:other.example" }) }),
      () => ["--tls-server-name", "other.example"],
      NAME,
    ],
    ...(["TLSv1.2", "TLSv1.3"] as const).map((version): [string, () => Partial<Setting>, () => string[], string] => [
      `a wish for a client's certificate, and ${version}`,
      () => ({ version, clientAuthority: authority.cert }),
      () => ["--tls-cert", rsa.cert, "--tls-key", rsa.key],
      NAME,
    ]),
  ];
  test.each(settings)("all requests are forwarded if it has %s", async (_what, setting, flags, host) => {
    const { status, served } = await forwardTo(NODE, setting(), trusting(flags()), host);
    expect({ status, served }).toEqual({ status: 0, served: targets });
  });

  const faults: [what: string, setting: () => Partial<Setting>, flags: () => string[], words: string][] = [
    [
      "another name",
      () => ({ certificate: authority.issue({ names: "DNS:other.example" }) }),
      trusting,
      "its certificate is for another name (Hostname/IP does not match certificate's altnames: Host: localhost. is not in " +
        "the cert's altnames: DNS:other.example): use the certificate's name, or give it with --tls-server-name",
    ],
    [
      "a certificate that has expired",
      () => ({ certificate: authority.issue({ days: -1 }) }),
      trusting,
      "its certificate has expired: renew it there",
    ],
    [
      "a certificate of an unknown authority",
      () => ({}),
      () => [],
      "its certificate comes from an authority that this program does not trust",
    ],
    [
      "a certificate of another authority",
      () => ({}),
      () => ["--tls-ca", other.cert],
      "its certificate comes from an authority that this program does not trust",
    ],
    [
      "a wish for a client's certificate, and TLS 1.2",
      () => ({ version: "TLSv1.2", clientAuthority: authority.cert }),
      trusting,
      "it has ended the TLS handshake (sslv3 alert handshake failure): if it asks for a client certificate, give --tls-cert",
    ],
    // TLS_CERT is empty.
    ["no TLS", () => ({ certificate: { cert: "", key: "" } }), trusting, "TLS"],
  ];
  /** All at the same time: each takes --outage-timeout-s. */
  let outcomes: ReturnType<typeof forwardTo>[] | undefined;
  const runFaults = () =>
    faults.map(([, setting, flags]) => forwardTo(NODE, setting(), [...flags(), "--outage-timeout-s", "1"]));
  const numbered = faults.map(([what, , , words], i) => [what, words, i] as const);
  test.each(numbered)("no request is forwarded if it has %s, which is reported once", async (_what, words, i) => {
    outcomes ??= runFaults();
    const { status, stderr, served, counters } = await outcomes[i]!;
    expect({ status, served }).toEqual({ status: 1, served: [] });
    expect(counters.requests).toMatchObject({ seen: REQUESTS, forwarded: 0, dropped: { endpoint_down: REQUESTS } });
    expect(counters.upstream).toMatchObject({ connects: 0, bytes: 0 });
    expect(stderr).toContain(words);
    expect(stderr.split("Cannot connect to https://localhost:")).toHaveLength(2);
  });

  test("with TLS 1.3, an endpoint asks for a client certificate only after the handshake: the advice is given", async () => {
    const { stderr, served, counters } = await forwardTo(NODE, { clientAuthority: authority.cert }, trusting());
    expect(served).toEqual([]);
    expect(counters.requests.answered).toBe(0);
    expect(stderr).toContain(
      "it sent no byte on the connection: if it asks for a client certificate, give --tls-cert and --tls-key",
    );
  });

  test("with --tls-insecure any certificate is accepted, with one warning", async () => {
    const { status, stderr, served } = await forwardTo(NODE, {}, ["--tls-insecure"]);
    expect({ status, served }).toEqual({ status: 0, served: targets });
    expect(stderr.split("not verified (--tls-insecure)")).toHaveLength(2);
  });

  test("one that restarts, with another certificate, loses nothing", async () => {
    const port = freePort();
    const endpoints: RawEndpoint[] = [];
    const listen = async (certificate: Certificate) =>
      endpoints.push(
        await RawEndpoint.listen({
          port,
          certificate,
          respond: ({ socket }, _request, number) => {
            if (endpoints.length === 1 && number === RESTART_AFTER) restart();
            else socket.write(OK);
          },
        }),
      );
    const restart = () => {
      endpoints[0]!.stop();
      setTimeout(() => listen(rsa), AWAY_MS);
    };
    await listen(ecdsa);
    const { status, counters } = await forward(mine, `https://localhost:${port}`, directory, trusting());
    for (const endpoint of endpoints) endpoint.stop();
    expect(endpoints).toHaveLength(2);
    const lines = new Set(endpoints.flatMap((endpoint) => endpoint.lines()));
    expect({ status, lines: [...lines].sort() }).toEqual({
      status: 0,
      lines: targets.map((target) => `GET ${target}`),
    });
    expect(counters.requests).toMatchObject(all);
  });

  test("mode tcp: the bytes arrive, and then the end", async () => {
    using endpoint = await RawEndpoint.listen({ certificate: ecdsa });
    const { status, counters } = await forward(mine, `https://localhost:${endpoint.port}`, directory, [
      ...trusting(),
      ...["--mode", "tcp", "--fin-delay-ms", "20"],
    ]);
    expect({ status, lines: endpoint.lines().sort() }).toEqual({
      status: 0,
      lines: targets.map((target) => `GET ${target}`),
    });
    expect(endpoint.connections.map(({ ended }) => ended)).toEqual(sessions.map(() => true));
    expect(counters.upstream).toMatchObject({ connects: CONNECTIONS, closed: CONNECTIONS, lost_bytes: 0 });
  });

  test.each([["nginx", nginx(), "TLSv1.3"]] as const)(
    "an upload of 8 MiB arrives whole: %s",
    async (_name, server, version) => {
      const [usable] = available([server], "an upload over TLS");
      if (usable === undefined) return;
      const bytes = new Uint8Array(UPLOAD_BYTES).map((_, i) => (i * 7919) >> 3);
      const running = await start(withTls(usable, { certificate: ecdsa, version }), directory);
      const { counters } = await forward(
        { ...mine, savefile: pcap(upload(bytes, SEGMENT_BYTES)) },
        `https://localhost:${running.port}`,
        directory,
        trusting(),
      );
      const [{ length, digest }] = (await running.stop()) as [Served];
      expect({ length, digest }).toEqual({ length: UPLOAD_BYTES, digest: Bun.SHA256.hash(bytes, "hex") });
      expect(counters.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1 });
    },
  );
});
