/** The state of a network interface, from the kernel. */
import { closeSync, openSync, readSync } from "node:fs";

const IFF_UP = 1;
/** More than the flags' hexadecimal digits can take. */
const FLAGS_BYTES_MAX = 32;

/** Tells whether an interface is up, through a descriptor that is held open: later there may be no free one. */
export class InterfaceState {
  private readonly path: string;
  private readonly text = Buffer.alloc(FLAGS_BYTES_MAX);
  private fd: number | null = null;
  private wasUp = true;

  constructor(name: string) {
    this.path = `/sys/class/net/${name}/flags`;
    this.look();
  }

  /**
   * Whether the interface is up. False: it was set down, and captures no frames until it is up again (libpcap does not
   * tell that).
   */
  look(): boolean {
    try {
      this.fd ??= openSync(this.path, "r");
      const length = readSync(this.fd, this.text, 0, FLAGS_BYTES_MAX, 0);
      this.wasUp = (Number(this.text.toString("latin1", 0, length)) & IFF_UP) !== 0;
    } catch {
      // `any`, or an interface that is gone: the reader of its frames reports that. An interface with this name may
      // come again.
      this.close();
    }
    return this.wasUp;
  }

  private close(): void {
    if (this.fd !== null) closeSync(this.fd);
    this.fd = null;
  }
}
