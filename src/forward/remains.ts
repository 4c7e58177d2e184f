/**
 * The requests of a conversation that gives way: they wait, or are in flight. The client's next conversation goes on
 * with them, so that no later request overtakes them. Until then, each part ends when it has no more work.
 */
import type { Branch } from "./branch.ts";
import type { RequestPipe } from "./request-pipe.ts";

/** The requests that a conversation leaves behind. */
export class Remains {
  /**
   * The pipe to the endpoint, and the branches to further destinations; null, and no branch: the part has ended, or
   * another conversation goes on with it.
   */
  constructor(
    private pipe: RequestPipe | null,
    private branches: readonly Branch[],
  ) {}

  /** The pipe to the endpoint, which belongs to the caller from now on; null: there is none. */
  takePipe(): RequestPipe | null {
    const { pipe } = this;
    this.pipe = null;
    return pipe;
  }

  /** The branches to further destinations, which belong to the caller from now on. */
  takeBranches(): readonly Branch[] {
    const { branches } = this;
    this.branches = [];
    return branches;
  }

  /** Whether both parts have ended. */
  get isOver(): boolean {
    return this.pipe === null && this.branches.length === 0;
  }

  /** Sends the requests that are due to the endpoint. */
  settle(): void {
    if (this.pipe === null) return;
    if (this.pipe.isIdle) this.takePipe()!.finish();
    else this.pipe.pump();
  }

  settleBranches(): void {
    if (this.branches.every((branch) => branch.isIdle)) this.finishBranches();
    else for (const branch of this.branches) branch.settle();
  }

  /** The client has ended: its connections end behind the last response. */
  finish(): void {
    this.takePipe()?.finish();
    this.finishBranches();
  }

  private finishBranches(): void {
    for (const branch of this.takeBranches()) branch.finish();
  }
}
