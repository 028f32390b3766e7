/** Frames that came while a hello or an identify is looked at. Together they are bounded as one frame before identify is. */
import { isLongerThan, utf8Bytes } from '../../../../domain/encoded-text.ts';

/** How many may wait. */
const FRAMES_WAITING_MAX = 64;
const NOTHING: readonly string[] = [];

export class FramesBehind {
  #texts = NOTHING;
  #bytes = 0;

  /** Whether there is room for it; one for which there is none is not kept. */
  add(text: string, bytesMax: number): boolean {
    if (this.#texts.length >= FRAMES_WAITING_MAX || isLongerThan(text, bytesMax - this.#bytes)) return false;
    this.#bytes += utf8Bytes(text);
    this.#texts = [...this.#texts, text];
    return true;
  }

  /** All of them, in order; none of them waits any more. */
  take(): readonly string[] {
    const texts = this.#texts;
    this.#texts = NOTHING;
    this.#bytes = 0;
    return texts;
  }
}
