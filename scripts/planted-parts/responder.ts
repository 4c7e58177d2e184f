/** A server that responds to each request as its talk says, whose number is in the request's path. */
export interface Response {
  readonly bytes: Uint8Array;
  /** The server ends the connection behind it. */
  readonly closes: boolean;
}

interface State {
  text: string;
  unsent: Uint8Array;
  closes: boolean;
}

const NOTHING = new Uint8Array(0);
const REQUEST = /^\w+ \/\w+\/(\d+) HTTP\/1.1\r\nHost: a\r\n(?:Content-Length: (\d+)\r\n)?\r\n/;

export class Responder {
  private readonly listener: Bun.TCPSocketListener<State>;

  /** `port` 0: any that is free. */
  constructor(
    private readonly responseTo: (id: number) => Response,
    private readonly hostname = "127.0.0.1",
    port = 0,
  ) {
    this.listener = Bun.listen<State>({
      hostname,
      port,
      socket: {
        open: (socket) => void (socket.data = { text: "", unsent: NOTHING, closes: false }),
        data: (socket, bytes) => this.read(socket, bytes),
        drain: (socket) => {
          const { unsent } = socket.data;
          socket.data.unsent = NOTHING;
          this.send(socket, unsent);
        },
      },
    });
  }

  get address(): string {
    return `${this.hostname}:${this.listener.port}`;
  }

  stop(): void {
    this.listener.stop(true);
  }

  private read(socket: Bun.Socket<State>, bytes: Buffer): void {
    const { data } = socket;
    data.text += bytes.toString("latin1");
    for (let found = REQUEST.exec(data.text); found !== null; found = REQUEST.exec(data.text)) {
      const end = found[0].length + Number(found[2] ?? 0);
      if (data.text.length < end) break;
      data.text = data.text.slice(end);
      const response = this.responseTo(Number(found[1]));
      data.closes = response.closes;
      this.send(socket, response.bytes);
    }
  }

  private send(socket: Bun.Socket<State>, bytes: Uint8Array): void {
    const { data } = socket;
    const isBehind = data.unsent.length > 0;
    const taken = isBehind ? 0 : Math.max(socket.write(bytes), 0);
    if (taken < bytes.length) data.unsent = isBehind ? Buffer.concat([data.unsent, bytes]) : bytes.subarray(taken);
    else if (data.closes) socket.shutdown();
  }
}
