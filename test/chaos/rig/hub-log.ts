/** What a hub must not have logged after hostile peers talked to it. */
import { readFileSync } from 'node:fs';

const SHOWN = 10;

/** Signs of an internal bug: an error in the log, a request that was answered with 500, or a line that is not JSON. */
export function judgeLog(file: string): readonly string[] {
  const violations: string[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.includes('AC_INTERNAL') || line.includes('"level":"error"') || line.includes('"level":"fatal"') || /"status":500/.test(line))
      violations.push(`log: ${line.slice(0, 400)}`); // prettier-ignore
    else if (line !== '' && !line.startsWith('{')) violations.push(`log, not JSON: ${line.slice(0, 400)}`);
  }
  return violations.slice(0, SHOWN);
}
