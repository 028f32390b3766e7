/** Buffers the frames that arrive while a hello or an identify is being processed. */
import { isLongerThan, utf8Bytes } from '../../../../domain/encoded-text.ts';

/** Maximum number of buffered frames. The limit on bytes alone would admit any number of empty ones. */
const FRAMES_MAX = 64;

export class PendingFrames {
  readonly #bytesMax: number;
  #texts: string[] = [];
  #bytes = 0;

  /** `bytesMax` limits their total size. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Returns false, and drops the frame, if the buffer is full. */
  add(text: string): boolean {
    if (this.#texts.length >= FRAMES_MAX || isLongerThan(text, this.#bytesMax - this.#bytes)) return false;
    this.#bytes += utf8Bytes(text);
    this.#texts.push(text);
    return true;
  }

  /** Returns all frames in order and empties the buffer. */
  take(): readonly string[] {
    const texts = this.#texts;
    this.#texts = [];
    this.#bytes = 0;
    return texts;
  }
}
