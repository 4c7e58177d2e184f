/** Real servers with TLS, and uploads to them. */
import { session } from "../executable/sessions.ts";
import type { Certificate } from "../support/authority.ts";
import type { CapturedFrame } from "../support/frames.ts";
import { nginx, type RealServer } from "./real-servers.ts";

export interface Setting {
  readonly certificate: Certificate;
  readonly version?: "TLSv1.2" | "TLSv1.3";
  /** The path of the authority that must have signed clients' certificates. */
  readonly clientAuthority?: string;
  /** nginx also speaks HTTP/2; the others decide this themselves. */
  readonly hasHttp2?: boolean;
}

/** The server with TLS: nginx, Node's, Bun's or Go's. */
export function withTls(
  server: RealServer,
  { certificate, version = "TLSv1.3", clientAuthority, hasHttp2 = false }: Setting,
): RealServer {
  if (server.name === "nginx") {
    const client = clientAuthority && `ssl_client_certificate ${clientAuthority}; ssl_verify_client on;`;
    const { cert, key } = certificate;
    const files = `ssl_certificate ${cert}; ssl_certificate_key ${key};`;
    return nginx({
      listen: hasHttp2 ? "ssl http2" : "ssl",
      directives: `${files} ssl_protocols ${version}; ${client ?? ""}`,
    });
  }
  const env = {
    TLS_CERT: certificate.cert,
    TLS_KEY: certificate.key,
    TLS_MAX_VERSION: version,
    ...(clientAuthority === undefined ? {} : { TLS_CLIENT_CA: clientAuthority }),
  };
  return {
    ...server,
    command: (port, log) => {
      const command = server.command(port, log);
      return { ...command, env: { ...command.env, ...env } };
    },
  };
}

/** The frames of a client's connection that uploads bytes. */
export function upload(bytes: Uint8Array, segmentBytes: number): CapturedFrame[] {
  const head = `POST /upload HTTP/1.1\r\nHost: production.example\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  const whole = Buffer.concat([Buffer.from(head), bytes]);
  const pieces = Math.ceil(whole.length / segmentBytes);
  return session(Array.from({ length: pieces }, (_, i) => whole.subarray(i * segmentBytes, (i + 1) * segmentBytes)));
}
