/**
 * The requests of a conversation that gives way: they wait, or are in flight. The client's next conversation goes on
 * with them, so that no later request overtakes them. Until then, each part ends when it has no more work.
 */
import type { Branches } from "./branches.ts";
import type { RequestPipe } from "./request-pipe.ts";

/** The requests that a conversation leaves behind. */
export class Remains {
  /**
   * The pipe to the endpoint, and the branches to further destinations; null: the part has ended, or another
   * conversation goes on with it.
   */
  constructor(
    private pipe: RequestPipe | null,
    private branches: Branches | null,
  ) {}

  /** The pipe to the endpoint, which belongs to the caller from now on; null: there is none. */
  takePipe(): RequestPipe | null {
    const { pipe } = this;
    this.pipe = null;
    return pipe;
  }

  /** The branches to further destinations, which belong to the caller from now on; null: there are none. */
  takeBranches(): Branches | null {
    const { branches } = this;
    this.branches = null;
    return branches;
  }

  /** Whether both parts have ended. */
  get isOver(): boolean {
    return this.pipe === null && this.branches === null;
  }

  /** Sends the requests that are due to the endpoint. */
  settle(): void {
    if (this.pipe === null) return;
    if (this.pipe.isIdle) this.takePipe()!.finish();
    else this.pipe.pump();
  }

  settleBranches(): void {
    if (this.branches === null) return;
    if (this.branches.areIdle) this.takeBranches()!.finish();
    else this.branches.settle();
  }

  /** The client has ended: its connections end behind the last response. */
  finish(): void {
    this.takePipe()?.finish();
    this.takeBranches()?.finish();
  }
}
