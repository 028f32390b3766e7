/** Creates an adapter that the config chose, and checks it: one of another package may be plain JavaScript. */
import type { AdapterChoice } from '../../core/config/config.ts';
import { describe, isRecord } from '../../core/domain/describe-value.ts';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

/** Rejects with `AC_PLUGIN_INVALID` if `create` throws, or resolves to something that lacks one of `members`. */
export async function createdAdapter<Made, Deps>(
  choice: AdapterChoice<string, Made, Deps>,
  deps: Deps,
  members: Readonly<Partial<Record<keyof Made & string, 'object' | 'function'>>>,
): Promise<Made> {
  const { port, name } = choice;
  const made = await attempt(choice, deps);
  const missing = Object.entries(members).filter(([member, type]) => !isRecord(made) || typeof made[member] !== type);
  if (missing.length === 0) return made;
  const wanted = missing.map(([member, type]) => (type === 'function' ? `${member}()` : member)).join(', ');
  const found = isRecord(made) ? `{ ${Object.keys(made).join(', ')} }` : describe(made);
  throw new AgentcomError('AC_PLUGIN_INVALID', `The ${port} "${name}" is invalid: expected an object with ${wanted}, found ${found}.`, {
    hint: 'Fix what its create() returns.',
  });
}

async function attempt<Made, Deps>(choice: AdapterChoice<string, Made, Deps>, deps: Deps): Promise<Made> {
  const { port, name } = choice;
  try {
    return await choice.create(deps);
  } catch (cause) {
    if (AgentcomError.is(cause)) throw cause;
    throw new AgentcomError('AC_PLUGIN_INVALID', `The ${port} "${name}" cannot be created: its create() threw: ${messageOf(cause)}.`, {
      cause,
      hint: `AGENTCOM_DEBUG=1 shows where. Fix it, or the options in hub.${port}.`,
    });
  }
}
