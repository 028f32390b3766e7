/** Shows how far long work has come: a bar on a terminal; elsewhere just a line now and then. */

export interface ProgressBar {
  /** `note` is shown after the bar. */
  at(done: number, note: string): void;
  end(): void;
}

const BAR_CHARACTERS = 30;
/** Time between two lines if there is no terminal. */
const LINE_EACH_MS = 30_000;

export function progressBar(total: number): ProgressBar {
  const { stdout } = process;
  const beganMs = performance.now();
  let saidMs = -Infinity;
  const seconds = (): number => Math.round((performance.now() - beganMs) / 1_000);
  return {
    at(done, note) {
      const share = total === 0 ? 1 : Math.min(1, done / total);
      const text = `${done}/${total} ${note}, ${seconds()} s`;
      if (stdout.isTTY) {
        const filled = Math.round(share * BAR_CHARACTERS);
        stdout.write(`\r[${'#'.repeat(filled)}${'.'.repeat(BAR_CHARACTERS - filled)}] ${text}\u001b[K`);
      } else if (performance.now() - saidMs >= LINE_EACH_MS) {
        saidMs = performance.now();
        stdout.write(`  ${text}\n`);
      }
    },
    end() {
      if (stdout.isTTY) stdout.write('\n');
    },
  };
}
