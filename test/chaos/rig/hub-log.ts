/** What a hub that hostile peers have spoken to may not have written. */
import { readFileSync } from 'node:fs';

const SHOWN = 10;

/** A bug of ours is an error in the log, or a request that was answered with 500. */
export function judgeLog(file: string): readonly string[] {
  const violations: string[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.includes('AC_INTERNAL') || line.includes('"level":"error"') || line.includes('"level":"fatal"') || /"status":500/.test(line))
      violations.push(`log: ${line.slice(0, 400)}`); // prettier-ignore
    else if (line !== '' && !line.startsWith('{')) violations.push(`log, not JSON: ${line.slice(0, 400)}`);
  }
  return violations.slice(0, SHOWN);
}
