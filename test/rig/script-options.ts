/** The command line of a script of this repository. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { messageOf } from '../../core/errors/agentcom-error.ts';

type Options = NonNullable<ParseArgsConfig['options']>;
type ValuesOf<Given extends Options> = ReturnType<typeof parseArgs<{ readonly options: Given }>>['values'];

const HELP = { help: { type: 'boolean', short: 'h' } } as const;

/** Like `parseArgs`. Prints the options and ends the process for `--help` (exit code 0) and for unknown options (2). */
export function scriptOptions<const Given extends Options>(options: Given): ValuesOf<Given> {
  try {
    const values: Readonly<Record<string, unknown>> = parseArgs({ options: { ...options, ...HELP } }).values;
    if (values['help'] !== true) return values as ValuesOf<Given>;
    process.stdout.write(usageOf(options));
    process.exit(0);
  } catch (thrown) {
    process.stderr.write(`${messageOf(thrown)}\n${usageOf(options)}`);
    process.exit(2);
  }
}

/** Returns what it returns. An error ends the process with exit code 2 and its message, without a stack trace. */
export function readOrExit<Read>(read: () => Read): Read {
  try {
    return read();
  } catch (thrown) {
    process.stderr.write(`${messageOf(thrown)}\n`);
    process.exit(2);
  }
}

/** Ends the process with exit code 2 because an option has an invalid value. `wanted`: "a number from 0". */
export function refuseValue(option: string, found: string, wanted: string): never {
  process.stderr.write(`--${option} ${found}: expected ${wanted}\n`);
  process.exit(2);
}

function usageOf(options: Options): string {
  const lines = Object.entries(options).map(([name, { type, default: standard }]) => {
    const value = type === 'string' ? ' VALUE' : '';
    return `  --${name}${value}${standard === undefined || standard === '' || standard === false ? '' : `  (default ${String(standard)})`}`;
  });
  return `Options, after \`--\`:\n${lines.join('\n')}\n`;
}
