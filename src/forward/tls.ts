/**
 * TLS to a destination: the authorities it trusts, its own certificate, and the session that further connections
 * resume. Bun does TLS itself: it verifies chain and name, and reports a failure by OpenSSL's codes.
 */
import { createSecureContext, getCACertificates, rootCertificates } from "node:tls";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { RefusalError } from "../errors.ts";

/** The flags of the command line; files are named by their paths. */
interface TlsFlags {
  readonly tlsCa: string | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Undefined: the destination's own name. */
  readonly tlsServerName: string | undefined;
  readonly tlsInsecure: boolean;
}

/** The material for connections: the PEM texts of the files. */
export interface TlsMaterial {
  /** Authorities that are trusted beside the system's; empty: no others. */
  readonly ca: string;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
  /** Every certificate is accepted. */
  readonly insecure: boolean;
  /** The time limit for a handshake, behind the TCP connection. */
  readonly handshakeTimeoutMs: number;
}

/**
 * The protocol that a connection with TLS asks for (RFC 7301); empty: none, because its bytes are passed on as they
 * are.
 */
export type AskedProtocol = "http/1.1" | "h2" | "";

const PROTOCOL_NAMES = { "http/1.1": "HTTP/1.1", h2: "HTTP/2" } as const;

/**
 * The destination is there, and does not speak the protocol that was asked for: this is no outage, and waiting does not
 * help.
 */
export class OtherProtocolError extends Error {
  constructor(protocol: "http/1.1" | "h2") {
    const name = PROTOCOL_NAMES[protocol];
    super(
      `it does not speak ${name} over TLS (ALPN ${protocol}): turn ${name} on there, or name an endpoint that has it`,
    );
  }
}

/** Failures of the handshake itself; all others are the certificate's. */
const HANDSHAKE_CODES = ["EPROTO", "ECONNRESET"];

/** RFC 7301, section 3.2: the alert of servers that do not go on without a choice. */
const NO_PROTOCOL = /NO_APPLICATION_PROTOCOL/;

/** The words for a connection that ended in the handshake. */
export const ENDED_EARLY = "it closed the connection in the TLS handshake";

/** The most characters of an endpoint's certificate that are shown. */
export const SHOWN_CHARACTERS_MAX = 200;

/** The TLS of a destination, for all of its connections that ask for the same protocol. */
export class Tls {
  /** The options for Bun.connect. */
  readonly options: Bun.TLSOptions;
  /** The session of the last connection, with which the next ones need no whole handshake. Null: there is none yet. */
  session: Uint8Array | null = null;

  /** Throws RefusalError if a certificate or a key cannot be read, or they do not belong to each other. */
  constructor(
    host: string,
    readonly material: TlsMaterial,
    private readonly protocol: AskedProtocol,
  ) {
    const { cert, key } = material;
    if (material.ca !== "") refuseBad("--tls-ca", { ca: material.ca });
    if (cert !== undefined && key !== undefined) refuseBad("--tls-cert and --tls-key", { cert, key });
    const ca = [...systemAuthorities(), material.ca].join("\n");
    const context = createSecureContext({ ca, ...(cert === undefined || key === undefined ? {} : { cert, key }) });
    this.options = {
      // Made once: else Bun would look through all authorities' certificates for each connection.
      secureContext: context.context as unknown,
      // A name is sent (SNI) and verified; an address is verified, and never sent (RFC 6066, section 3).
      serverName: material.serverName ?? (isIP(host) === 0 ? host : ""),
      // Set explicitly, because Bun would go by NODE_TLS_REJECT_UNAUTHORIZED.
      rejectUnauthorized: !material.insecure,
      ...(protocol === "" ? {} : { ALPNProtocols: Buffer.from([protocol.length, ...Buffer.from(protocol)]) }),
    } as Bun.TLSOptions;
  }

  /**
   * Why a connection is not to be used after its handshake; undefined: it can be used. `chosen`: the protocol that the
   * server has chosen.
   */
  refusal(isDone: boolean, error: NodeJS.ErrnoException | null, chosen: string | false | null): Error | undefined {
    const { protocol } = this;
    if (error !== null && protocol !== "" && NO_PROTOCOL.test(error.message)) return new OtherProtocolError(protocol);
    const isCertificates = error !== null && !HANDSHAKE_CODES.includes(error.code ?? "");
    if (error !== null && !(this.material.insecure && isCertificates)) return new Error(handshakeFailure(error));
    if (error === null && !isDone) return new Error("the TLS handshake failed");
    // RFC 9113, section 3.3: a server that has not chosen HTTP/2 does not speak it. Without a choice, HTTP/1 is spoken.
    return protocol === "h2" && chosen !== protocol ? new OtherProtocolError(protocol) : undefined;
  }

  get handshakeTimedOut(): Error {
    return new Error(
      `no TLS handshake within ${this.material.handshakeTimeoutMs} ms (--connect-timeout-ms): does it speak TLS there?`,
    );
  }
}

/** Reads the files that `flags` names. Throws RefusalError. */
export function readTls(flags: TlsFlags, handshakeTimeoutMs: number): TlsMaterial {
  return {
    ca: readPem("--tls-ca", flags.tlsCa) ?? "",
    cert: readPem("--tls-cert", flags.tlsCert),
    key: readPem("--tls-key", flags.tlsKey),
    serverName: flags.tlsServerName,
    insecure: flags.tlsInsecure,
    handshakeTimeoutMs,
  };
}

/** The words for a failed handshake: the fault, and the remedy. */
export function handshakeFailure({ code = "", message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
      return `its certificate comes from an authority that this program does not trust (${message}): give the authority's certificate with --tls-ca`;
    case "CERT_HAS_EXPIRED":
      return "its certificate has expired: renew it there, or accept any certificate with --tls-insecure";
    case "CERT_NOT_YET_VALID":
      return "its certificate is not valid yet: is this host's clock right?";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `its certificate is for another name (${shown(message)}): use the certificate's name, or give it with --tls-server-name`;
    case "ECONNRESET":
      return ENDED_EARLY;
    case "EPROTO":
      return protocolFailure(message);
    default:
      return `its certificate cannot be verified (${shown(message)})`;
  }
}

/** The words for a failure of the protocol. `message`: OpenSSL's; its last part is the reason. */
function protocolFailure(message: string): string {
  const reason = message.split(":").at(-1) ?? "";
  const words = reason.toLowerCase().replaceAll("_", " ");
  if (/WRONG_VERSION_NUMBER|HTTP_REQUEST|UNEXPECTED_MESSAGE/.test(reason))
    return `it does not speak TLS there (${words})`;
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(reason))
    return `it speaks no version of TLS that this program speaks (${words}): it needs 1.2 or 1.3`;
  if (/ALERT/.test(reason))
    return `it has ended the TLS handshake (${words}): if it asks for a client certificate, give --tls-cert and --tls-key`;
  return `the TLS handshake failed (${words})`;
}

/** A text that others have written, cleaned for one line of a log. */
function shown(text: string): string {
  const printable = text.replace(/[^\x20-\x7e]+/g, " ").trim();
  return printable.length > SHOWN_CHARACTERS_MAX ? `${printable.slice(0, SHOWN_CHARACTERS_MAX)} …` : printable;
}

/** The authorities that this host trusts; if it has none, those of the runtime. */
function systemAuthorities(): readonly string[] {
  const authorities = getCACertificates("system");
  return authorities.length > 0 ? authorities : rootCertificates;
}

function readPem(flag: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: "there is no such file",
      EACCES: "permission denied",
      EISDIR: "it is a directory",
    };
    throw new RefusalError(`Cannot read ${flag} ${path}: ${reasons[code] ?? message}`);
  }
  if (text.trim() === "") throw new RefusalError(`Cannot use ${flag}: PEM is expected, and ${path} is empty`);
  return text;
}

function refuseBad(flags: string, material: { ca?: string; cert?: string; key?: string }): void {
  try {
    createSecureContext(material);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const why = /KEY_VALUES_MISMATCH/.test(code)
      ? "the key does not belong to the certificate"
      : `PEM is expected (${message.split(":").at(-1)})`;
    throw new RefusalError(`Cannot use ${flags}: ${why}`);
  }
}
