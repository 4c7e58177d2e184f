/** What the kernel says of a network interface beside its frames. */
import { closeSync, openSync, readSync } from "node:fs";

const IFF_UP = 1;
/** More than the flags' hexadecimal digits can be. */
const FLAGS_BYTES_MAX = 32;

/** Whether an interface is up, asked through a descriptor that is held: there may be no other to be had. */
export class InterfaceState {
  private readonly path: string;
  private readonly text = Buffer.alloc(FLAGS_BYTES_MAX);
  private fd: number | null = null;
  private wasUp = true;

  constructor(name: string) {
    this.path = `/sys/class/net/${name}/flags`;
    this.look();
  }

  /** False: it was set down, and captures nothing until it is up again; libpcap says nothing of that. */
  look(): boolean {
    try {
      this.fd ??= openSync(this.path, "r");
      const length = readSync(this.fd, this.text, 0, FLAGS_BYTES_MAX, 0);
      this.wasUp = (Number(this.text.toString("latin1", 0, length)) & IFF_UP) !== 0;
    } catch {
      // `any`, or one that is gone: that is told by who reads from it. One of that name may come again.
      this.close();
    }
    return this.wasUp;
  }

  private close(): void {
    if (this.fd !== null) closeSync(this.fd);
    this.fd = null;
  }
}
