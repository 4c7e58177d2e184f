/** A certificate authority for tests, made with openssl. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  /** The paths of PEM files. */
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** Subject alternative names, as openssl writes them. */
  readonly names?: string;
  readonly algorithm?: "ecdsa" | "rsa";
  /** From now on; less than 0: the certificate has expired. */
  readonly days?: number;
}

const ALGORITHMS = {
  ecdsa: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa: ["rsa:2048"],
} as const;
/** The names of an endpoint on loopback. */
const LOOPBACK_NAMES = "DNS:localhost,IP:127.0.0.1";

export class Authority {
  /** The path of its certificate. */
  readonly cert: string;
  private readonly key: string;
  private issued = 0;

  constructor(
    private readonly directory: string,
    private readonly name = "test authority",
  ) {
    this.cert = this.path("authority.pem");
    this.key = this.path("authority.key");
    const request = ["-x509", "-newkey", ...ALGORITHMS.ecdsa, "-nodes", "-days", "2", "-subj", `/CN=${name}`];
    openssl("req", ...request, "-keyout", this.key, "-out", this.cert);
  }

  issue({ names = LOOPBACK_NAMES, algorithm = "ecdsa", days = 2 }: CertificateOptions = {}): Certificate {
    const number = this.issued++;
    const [cert, key, request, extensions] = ["pem", "key", "csr", "ext"].map((kind) => this.path(`${number}.${kind}`));
    writeFileSync(extensions!, `subjectAltName=${names}\n`);
    const subject = ["-nodes", "-subj", `/CN=test ${number}`];
    openssl("req", "-newkey", ...ALGORITHMS[algorithm], ...subject, "-keyout", key!, "-out", request!);
    const signer = ["-CA", this.cert, "-CAkey", this.key, "-set_serial", String(number + 1), "-extfile", extensions!];
    openssl("x509", "-req", "-in", request!, ...signer, "-days", String(days), "-out", cert!);
    return { cert: cert!, key: key! };
  }

  private path(name: string): string {
    return join(this.directory, `${this.name.replaceAll(" ", "-")}-${name}`);
  }
}

function openssl(...args: string[]): void {
  const { success, stderr } = Bun.spawnSync(["openssl", ...args], { stdout: "ignore", stderr: "pipe" });
  if (!success) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}
