/** Adds the submitter's signature to submits. A submit that already has one is sent unchanged. */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { SignTask } from '../signing/signing-options.ts';
import type { PushRequest, SubmitRequest } from './types.ts';

export const signedBody = async (body: SubmitRequest, sign: SignTask): Promise<SubmitRequest> =>
  typeof body.signature === 'string' ? body : { ...body, signature: await sign(body) };

/** A push is a task for that agent alone. */
export const signedPush = async ({ agent_id: agentId, ...body }: PushRequest, sign: SignTask): Promise<PushRequest> => ({
  ...(await signedBody({ ...body, assign_to: agentId }, sign).then(({ assign_to: _, ...signed }) => signed as typeof body)),
  agent_id: agentId,
});

/** Lines of JSON. Rejects with `AC_USAGE` for a line that is not an object. */
export async function signedBodies(bodies: readonly SubmitRequest[] | string, sign: SignTask): Promise<string> {
  const lines: string[] = [];
  for (const body of typeof bodies === 'string' ? parsed(bodies) : bodies) lines.push(JSON.stringify(await signedBody(body, sign)));
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
