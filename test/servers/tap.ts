/**
 * A tap between the executable and a server: it passes all bytes on, and keeps the bytes of each connection in turns.
 * The executable writes a request only after the end of the previous response. So a turn has the bytes of one request
 * and one response, for any reading of the server.
 */
import net from "node:net";

export interface Turn {
  request: string;
  response: string;
}

export interface TappedConnection {
  readonly turns: Turn[];
  /** The server's name of the connection: the client's port. */
  port: number;
  /** The side that ended it first. */
  endedBy: "program" | "server" | undefined;
}

export class Tap implements Disposable {
  readonly connections: TappedConnection[] = [];
  private readonly server: net.Server;

  private constructor(private readonly to: number) {
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => this.pass(socket));
  }

  /** A tap in front of a server on this port of loopback. */
  static async before(port: number): Promise<Tap> {
    const tap = new Tap(port);
    await new Promise<void>((resolve) => tap.server.listen(0, "127.0.0.1", resolve));
    return tap;
  }

  /** As forward_addr. */
  get address(): string {
    return `127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  private pass(program: net.Socket): void {
    const connection: TappedConnection = { turns: [], port: 0, endedBy: undefined };
    this.connections.push(connection);
    const server = net.connect(
      { port: this.to, host: "127.0.0.1", allowHalfOpen: true },
      () => (connection.port = server.localPort!),
    );
    const ended = (by: "program" | "server") => (connection.endedBy ??= by);
    program.on("data", (bytes) => {
      const last = connection.turns.at(-1);
      if (last === undefined || last.response !== "") connection.turns.push({ request: "", response: "" });
      connection.turns.at(-1)!.request += bytes.toString("latin1");
      server.write(bytes);
    });
    server.on("data", (bytes) => {
      const last = connection.turns.at(-1);
      if (last !== undefined) last.response += bytes.toString("latin1");
      program.write(bytes);
    });
    const both = [
      { from: program, to: server, name: "program" },
      { from: server, to: program, name: "server" },
    ] as const;
    for (const { from, to, name } of both) {
      from.on("end", () => {
        ended(name);
        to.end();
      });
      from.on("error", () => {
        ended(name);
        to.destroy();
      });
      from.on("close", () => to.destroySoon());
    }
  }

  [Symbol.dispose](): void {
    this.server.close();
  }
}

/** The statuses of the final responses in these bytes. */
export function finalStatuses(response: string): number[] {
  const statuses = [...response.matchAll(/^HTTP\/1\.\d (\d{3})/gm)].map(([, status]) => Number(status));
  return statuses.filter((status) => status >= 200 || status === 101);
}
