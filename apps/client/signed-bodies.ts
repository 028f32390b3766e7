/**
 * Adds the submitter's signature to submits. A submit that already has one is sent unchanged. Signing takes a while, in which the caller may
 * change the task: what is signed and sent is a copy, made at the call.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { SignTask } from '../signing/signing-options.ts';
import type { PushRequest, SubmitRequest } from './types.ts';

/** The copy is what JSON makes of the task, as the hub gets it. */
export const signedBody = (body: SubmitRequest, sign: SignTask): Promise<SubmitRequest> =>
  signedCopy(JSON.parse(JSON.stringify(body ?? null)) as SubmitRequest, sign);

const signedCopy = async (copy: SubmitRequest, sign: SignTask): Promise<SubmitRequest> =>
  typeof copy.signature === 'string' ? copy : { ...copy, signature: await sign(copy) };

/** A push is a task for that agent alone. */
export const signedPush = async ({ agent_id: agentId, ...body }: PushRequest, sign: SignTask): Promise<PushRequest> => ({
  ...(await signedBody({ ...body, assign_to: agentId }, sign).then(({ assign_to: _, ...signed }) => signed as typeof body)),
  agent_id: agentId,
});

/** Of lines of JSON. Rejects with `AC_USAGE` for a line that is not an object. */
export async function signedLines(text: string, sign: SignTask): Promise<string> {
  const lines: string[] = [];
  for (const body of parsed(text)) lines.push(JSON.stringify(await signedCopy(body, sign)));
  return lines.join('\n');
}

function* parsed(text: string): Generator<SubmitRequest> {
  for (const [place, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const body = parsedLine(line);
    if (typeof body !== 'object' || body === null)
      throw new AgentcomError('AC_USAGE', `Cannot sign line ${place + 1}: expected a JSON object.`);
    yield body as SubmitRequest;
  }
}

function parsedLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null; // The caller's error names the line.
  }
}
