/**
 * A request body while it arrives. Chunks are buffered until they are read, and reading from the socket is paused if there are too many.
 * The body is arriving, then complete, broken if the client disconnects, or refused for its small chunks. Once it is cancelled, what
 * arrives is dropped, but still counted.
 */
import type { HttpBody } from '../../core/ports/http.ts';

/** The connection that the bytes come from. */
export interface BodySource {
  /** Buffered bytes above which it is paused. */
  readonly bufferedBytesMax: number;
  pause(): void;
  resume(): void;
}

/** A chunk costs far more than its bytes. A body may have this many, and one more for every `CHUNK_BYTES_MIN` bytes. */
export const CHUNKS_FREE = 1_024;
export const CHUNK_BYTES_MIN = 64;
/** Once this many chunks are buffered, chunks smaller than `SMALL_BYTES` are copied into a block. */
const UNMERGED_MAX = 16;
const SMALL_BYTES = 1_024;
const BLOCK_BYTES = 16_384;
const NO_BLOCK = new Uint8Array(0);

export class ArrivingBody implements HttpBody {
  readonly #source: BodySource;
  readonly #buffered: Uint8Array[] = [];
  /** Follows what is in `#buffered`: the bytes from `#blockFrom` to `#blockTo`. */
  #block = NO_BLOCK;
  #blockFrom = 0;
  #blockTo = 0;
  #chunks = 0;
  #bytes = 0;
  #bufferedBytes = 0;
  #state: 'arriving' | 'complete' | 'broken' | 'refused' = 'arriving';
  #error: Error | null = null;
  #isDropped = false;
  #isPaused = false;
  /** `whole` was called: the body is buffered without a limit, because the caller has checked its announced length. */
  #isUnlimited = false;
  #wake: () => void = () => undefined;

  constructor(source: BodySource) {
    this.#source = source;
  }

  async next(): Promise<Uint8Array | null> {
    while (this.#bufferedBytes === 0 && this.#isExpected()) await this.#change();
    if (this.#buffered.length === 0) this.#seal();
    const chunk = this.#buffered.shift();
    if (chunk !== undefined) {
      this.#bufferedBytes -= chunk.byteLength;
      this.#pauseOrResume();
      return chunk;
    }
    if (this.#error !== null) throw this.#error;
    return null;
  }

  whole(): Uint8Array | Promise<Uint8Array> {
    return this.#state === 'complete' && !this.#isDropped ? this.#taken() : this.#arrived();
  }

  async #arrived(): Promise<Uint8Array> {
    this.#isUnlimited = true;
    this.#pauseOrResume();
    while (this.#isExpected()) await this.#change();
    if (this.#error !== null) throw this.#error;
    if (this.#isDropped) throw new Error('reading the body was cancelled');
    return this.#taken();
  }

  #taken(): Uint8Array {
    this.#seal();
    const [first] = this.#buffered;
    const bytes = first !== undefined && this.#buffered.length === 1 ? first : Buffer.concat(this.#buffered);
    this.cancel();
    return bytes;
  }

  cancel(): void {
    this.#isDropped = true;
    this.#clear();
    this.#pauseOrResume();
    this.#wake();
  }

  /** Whether it has arrived completely, read or not. */
  isComplete(): boolean {
    return this.#state === 'complete';
  }

  /** Whether it was refused for its small chunks. The connection should be closed: the rest would cost as much. */
  isRefused(): boolean {
    return this.#state === 'refused';
  }

  /** Whether nobody reads it any more. */
  isCancelled(): boolean {
    return this.#isDropped;
  }

  /** Adds bytes that arrived. The caller MUST NOT reuse their memory. */
  push(chunk: Uint8Array): void {
    const { byteLength } = chunk;
    if (this.#state !== 'arriving' || byteLength === 0) return;
    this.#chunks += 1;
    this.#bytes += byteLength;
    if (this.#chunks > CHUNKS_FREE + this.#bytes / CHUNK_BYTES_MIN) return this.#refuse();
    if (this.#isDropped) return;
    if (byteLength >= SMALL_BYTES || this.#buffered.length < UNMERGED_MAX) {
      this.#seal();
      this.#buffered.push(chunk);
    } else this.#merge(chunk);
    this.#bufferedBytes += byteLength;
    this.#pauseOrResume();
    this.#wake();
  }

  #merge(chunk: Uint8Array): void {
    if (this.#blockTo + chunk.byteLength > this.#block.byteLength) {
      this.#seal();
      this.#block = new Uint8Array(BLOCK_BYTES);
      this.#blockFrom = 0;
      this.#blockTo = 0;
    }
    this.#block.set(chunk, this.#blockTo);
    this.#blockTo += chunk.byteLength;
  }

  /** Moves what the block has to `#buffered`. */
  #seal(): void {
    if (this.#blockTo === this.#blockFrom) return;
    this.#buffered.push(this.#block.subarray(this.#blockFrom, this.#blockTo));
    this.#blockFrom = this.#blockTo;
  }

  #refuse(): void {
    this.#clear();
    this.breakOff(`it arrives in too many small chunks: more than ${CHUNKS_FREE}, with less than ${CHUNK_BYTES_MIN} bytes each on average`);
    this.#state = 'refused';
  }

  #clear(): void {
    this.#buffered.length = 0;
    this.#blockFrom = this.#blockTo;
    this.#bufferedBytes = 0;
  }

  /** The body is complete. */
  end(): void {
    if (this.#state !== 'arriving') return;
    // The connection continues with the next request.
    if (this.#isPaused) this.#source.resume();
    this.#state = 'complete';
    this.#wake();
  }

  /** The connection is closed. If the body is not complete, reading it fails with this reason. */
  breakOff(why = 'the peer closed the connection'): void {
    if (this.#state !== 'arriving') return;
    this.#state = 'broken';
    if (!this.#isDropped) this.#error = new Error(why);
    this.#wake();
  }

  #isExpected(): boolean {
    return this.#state === 'arriving' && !this.#isDropped;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #pauseOrResume(): void {
    if (this.#state !== 'arriving') return;
    const isTooMuch = !this.#isUnlimited && this.#bufferedBytes > this.#source.bufferedBytesMax;
    if (isTooMuch === this.#isPaused) return;
    this.#isPaused = isTooMuch;
    if (isTooMuch) this.#source.pause();
    else this.#source.resume();
  }
}
