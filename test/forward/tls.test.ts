/** Bun's TLS behind the connector, against servers on loopback; and the messages about its failures. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import net from "node:net";
import { RefusalError } from "../../src/errors.ts";
import { bunConnector, type SocketEvents, type UpstreamSocket } from "../../src/forward/socket.ts";
import {
  type AskedProtocol,
  handshakeFailure,
  readTls,
  SHOWN_CHARACTERS_MAX,
  Tls,
  type TlsMaterial,
} from "../../src/forward/tls.ts";
import { TemporaryDirectory } from "../executable/program.ts";
import { Authority, type Certificate } from "../support/authority.ts";

const LOOPBACK = "127.0.0.1";
const HANDSHAKE_TIMEOUT_MS = 100;

const hasOpenssl = Bun.which("openssl") !== null;
if (!hasOpenssl) console.warn("skipped: TLS of the connector (openssl is not installed)");

const directory = new TemporaryDirectory();
const cleanups: (() => void)[] = [];
afterEach(() => cleanups.splice(0).forEach((cleanup) => cleanup()));
afterAll(() => directory[Symbol.dispose]());

/** The events of a connection, in order. */
class Told implements SocketEvents {
  readonly events: string[] = [];
  private readonly wanted = Promise.withResolvers<void>();
  socket: UpstreamSocket | null = null;

  /** `end`: the last event to wait for. */
  constructor(private readonly end: string) {}

  opened(socket: UpstreamSocket): void {
    this.socket = socket;
    this.note("opened");
  }
  failed(error: Error): void {
    this.note("failed", `: ${error.message}`);
  }
  writable(): void {}
  received(bytes: Uint8Array): void {
    this.note("received", ` ${new TextDecoder().decode(bytes)}`);
  }
  ended(): void {
    this.note("ended");
  }
  closed(): void {
    this.note("closed");
  }
  until(): Promise<void> {
    return this.wanted.promise;
  }
  private note(event: string, more = ""): void {
    this.events.push(event + more);
    if (event === this.end) this.wanted.resolve();
  }
}

/** A server that does not speak TLS: `behave` gets each connection. Resolves with its port. */
async function plainServer(behave: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    behave(socket);
  });
  cleanups.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  return (server.address() as net.AddressInfo).port;
}

const MATERIAL: TlsMaterial = {
  ca: "",
  cert: undefined,
  key: undefined,
  serverName: undefined,
  insecure: false,
  handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
};

describe("a handshake without a result fails, once, and leaves no connection", () => {
  test.each([
    ["it is silent", () => {}, `no TLS handshake within ${HANDSHAKE_TIMEOUT_MS} ms (--connect-timeout-ms)`],
    ["it ends the connection", (socket: net.Socket) => socket.end(), "it closed the connection in the TLS handshake"],
    [
      "it resets the connection",
      (socket: net.Socket) => socket.resetAndDestroy(),
      "it closed the connection in the TLS handshake",
    ],
    [
      "it speaks plain HTTP",
      (socket: net.Socket) => socket.on("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")),
      "TLS",
    ],
  ])("%s", async (_what, behave, words) => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const port = await plainServer((socket) => {
      socket.on("close", () => resolve());
      socket.resume();
      behave(socket);
    });
    const told = new Told("failed");
    bunConnector.connect({ host: LOOPBACK, port }, told, new Tls(LOOPBACK, MATERIAL, "http/1.1"));
    await told.until();
    await closed;
    expect(told.events).toHaveLength(1);
    expect(told.events[0]).toContain(words);
  });
});

describe.if(hasOpenssl)("a connection with TLS", () => {
  let material: TlsMaterial;
  let certificate: Certificate;

  beforeAll(async () => {
    const authority = new Authority(directory.path);
    certificate = authority.issue();
    material = { ...MATERIAL, ca: await Bun.file(authority.cert).text(), handshakeTimeoutMs: 5000 };
  });

  /** A server that greets, and goes on sending after the client's end. */
  function server(reused: boolean[], protocols: unknown[], offered = "http/1.1"): number {
    const listener = Bun.listen({
      hostname: LOOPBACK,
      port: 0,
      allowHalfOpen: true,
      tls: {
        cert: Bun.file(certificate.cert),
        key: Bun.file(certificate.key),
        ...(offered === "" ? {} : { ALPNProtocols: Buffer.from([offered.length, ...Buffer.from(offered)]) }),
      },
      socket: {
        open() {},
        handshake(socket) {
          reused.push((socket as unknown as { isSessionReused(): boolean }).isSessionReused());
          protocols.push(socket.alpnProtocol);
          socket.write("hello");
        },
        data() {},
        end(socket) {
          socket.write("bye");
          socket.end();
        },
      },
    });
    cleanups.push(() => listener.stop(true));
    return listener.port;
  }

  test("further connections resume an earlier session, and ask for http/1.1", async () => {
    const [reused, protocols]: [boolean[], unknown[]] = [[], []];
    const port = server(reused, protocols);
    const tls = new Tls("localhost", material, "http/1.1");
    for (let i = 0; i < 3; i++) {
      const told = new Told("received");
      bunConnector.connect({ host: LOOPBACK, port }, told, tls);
      await told.until();
      told.socket!.terminate();
    }
    expect(reused).toEqual([false, true, true]);
    expect(protocols).toEqual(["http/1.1", "http/1.1", "http/1.1"]);
  });

  const PROTOCOLS: [offered: string, asked: AskedProtocol, outcome: string][] = [
    ["h2", "h2", "opened"],
    ["http/1.1", "h2", "HTTP/2"],
    ["", "h2", "HTTP/2"],
    ["h2", "http/1.1", "HTTP/1.1"],
    ["http/1.1", "http/1.1", "opened"],
    ["", "http/1.1", "opened"],
    ["h2", "", "opened"],
    ["", "", "opened"],
  ];
  test.each(PROTOCOLS)("one that offers '%s' and is asked for '%s': %s", async (offered, asked, outcome) => {
    const port = server([], [], offered);
    const opens = outcome === "opened";
    const told = new Told(opens ? "received" : "failed");
    bunConnector.connect({ host: LOOPBACK, port }, told, new Tls("localhost", material, asked));
    await told.until();
    told.socket?.terminate();
    if (opens) return expect(told.events[0]).toBe("opened");
    expect(told.events).toEqual([
      `failed: it does not speak ${outcome} over TLS (ALPN ${asked}): turn ${outcome} on there, or name an endpoint that has it`,
    ]);
  });

  test("its end is passed on, and later bytes are read", async () => {
    const port = server([], []);
    const told = new Told("closed");
    bunConnector.connect({ host: LOOPBACK, port }, told, new Tls("localhost", material, "http/1.1"));
    while (told.socket === null) await Bun.sleep(1);
    told.socket.shutdown();
    await told.until();
    expect(told.events.join("").replaceAll("received ", "")).toBe("openedhellobyeendedclosed");
  });

  test("a certificate that does not match its key, or is no certificate, is refused at the start", () => {
    const other = new Authority(directory.path, "another authority").issue();
    const read = (tlsCert?: string, tlsKey?: string, tlsCa?: string) =>
      new Tls("localhost", readTls({ tlsCa, tlsCert, tlsKey, tlsServerName: undefined, tlsInsecure: false }, 1000), "");
    expect(() => read(certificate.cert, certificate.key)).not.toThrow();
    const garbage = directory.file("garbage.pem", "no PEM");
    const cases: [() => Tls, string][] = [
      [
        () => read(certificate.cert, other.key),
        "Cannot use --tls-cert and --tls-key: the key does not belong to the certificate",
      ],
      [() => read(garbage, certificate.key), "Cannot use --tls-cert and --tls-key: PEM is expected"],
      [() => read(undefined, undefined, garbage), "Cannot use --tls-ca: PEM is expected"],
      [() => read(undefined, undefined, "/dev/null"), "Cannot use --tls-ca: PEM is expected, and /dev/null is empty"],
      [() => read(undefined, undefined, "/none/such"), "Cannot read --tls-ca /none/such: there is no such file"],
      [() => read(undefined, undefined, directory.path), "it is a directory"],
    ];
    for (const [make, words] of cases) {
      expect(make).toThrow(RefusalError);
      expect(make).toThrow(words);
    }
  });
});

const alert = (name: string) => `error:10000410:SSL routines:OPENSSL_internal:${name}`;

test.each([
  ["ECONNRESET", "socket disconnected", "it closed the connection"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate", "--tls-ca"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "self signed certificate", "--tls-ca"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "self signed certificate in certificate chain", "--tls-ca"],
  ["CERT_HAS_EXPIRED", "certificate has expired", "has expired"],
  ["CERT_NOT_YET_VALID", "certificate is not yet valid", "is this host's clock right?"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", `Host: a. is not in ${"DNS:b, ".repeat(1000)}`, "--tls-server-name"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "DNS:\u001b[31m\n", "(DNS: [31m)"],
  ["EPROTO", alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), "sslv3 alert handshake failure"],
  ["EPROTO", alert("TLSV1_ALERT_PROTOCOL_VERSION"), "1.2 or 1.3"],
  ["EPROTO", alert("WRONG_VERSION_NUMBER"), "does not speak TLS"],
  ["CERT_REVOKED", "certificate revoked", "cannot be verified (certificate revoked)"],
])("the message about %s is one short line with advice", (code, message, words) => {
  const said = handshakeFailure(Object.assign(new Error(message), { code }));
  expect(said).toContain(words);
  expect(said).toMatch(/^[\x20-\x7e…]{1,360}$/);
});

test.each([
  [0, ""],
  [1, " …"],
])("of a certificate's text, so much is shown: %d characters more", (more, end) => {
  const message = "n".repeat(SHOWN_CHARACTERS_MAX + more);
  const said = handshakeFailure(Object.assign(new Error(message), { code: "CERT_REVOKED" }));
  expect(said).toContain(`(${"n".repeat(SHOWN_CHARACTERS_MAX)}${end})`);
});
