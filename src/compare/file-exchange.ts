/**
 * A request on its way to a file that also gets production's response. The response is given once, when it is known and
 * the file has asked for it.
 */
import type { Exchange, ProductionResponse, Witness } from "../forward/exchange.ts";
import type { ComparedMemory } from "./memory.ts";
import type { Kept } from "./response.ts";

/** The cost of an exchange without the response that it holds. */
export const FILE_EXCHANGE_COST_BYTES = 256;

/** One request on its way to a file, until the file has asked for production's response or never will. */
export class FileExchange implements Exchange, Witness {
  target = "";
  readonly control = null;
  readonly witness = this;
  private tell: ((response: ProductionResponse | null) => void) | null = null;
  private isKnown = false;
  /** Production's response, until the file asks for it. */
  private response: ProductionResponse | null = null;
  private heldBytes = FILE_EXCHANGE_COST_BYTES;
  private isOver = false;

  constructor(private readonly memory: ComparedMemory) {
    memory.take(FILE_EXCHANGE_COST_BYTES);
  }

  /** Whether production's response is to be kept. */
  get isWaiting(): boolean {
    return !this.isOver;
  }

  /**
   * Production's response is whole; null: it did not come whole. `heldBytes`: the bytes that its holder has charged for
   * it.
   */
  produced(kept: Kept | null, heldBytes: number, requestMs: number): void {
    if (this.isOver || this.isKnown) return;
    this.isKnown = true;
    const { memory, tell } = this;
    const response = kept === null ? null : responseOf(kept, requestMs);
    if (tell !== null) {
      this.end();
      tell(response);
    } else if (response !== null && memory.hasRoomFor(heldBytes)) {
      memory.take(heldBytes);
      this.heldBytes += heldBytes;
      this.response = response;
    }
  }

  whenKnown(tell: (response: ProductionResponse | null) => void): void {
    const { response } = this;
    if (!this.isKnown && !this.isOver) {
      this.tell = tell;
      return;
    }
    this.end();
    tell(response);
  }

  /** The file has the request, or never gets it: if it has not asked for the response, it never will. */
  released(): void {
    if (this.tell === null) this.end();
  }

  toFile(): null {
    return null;
  }

  // The file's own responses do not matter.

  responded(): void {}
  forwarded(): void {}
  unanswered(): void {}
  notForwarded(): void {}
  damaged(): void {}

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.response = null;
    this.memory.giveBack(this.heldBytes);
  }
}

function responseOf({ response, firstMs, lastMs }: Kept, requestMs: number): ProductionResponse | null {
  if (response === null) return null;
  const { code, head, body, bodyLength, digest } = response;
  // The arrays of `body` are soon used again.
  return { code, head, body: body.slice(), bodyLength, digest, requestMs, firstMs, lastMs };
}
