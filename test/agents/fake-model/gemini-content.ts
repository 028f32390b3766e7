/** `POST …/models/MODEL:generateContent` and `:streamGenerateContent`, as Google speaks it. */
import { CALL_USAGE, listOf, namesIn, objectOf, textOf, type ModelApi, type Reply, type Said, type Turn } from './model-api.ts';

const WORDS: Readonly<Record<number, string>> = { 401: 'UNAUTHENTICATED', 429: 'RESOURCE_EXHAUSTED', 500: 'INTERNAL' };

export const geminiContent: ModelApi = {
  name: 'gemini',
  isCall: (path) => /:(streamG|g)enerateContent$/.test(path),
  turns: (body) =>
    listOf(body['contents']).flatMap(({ role, parts }) =>
      listOf(parts).map((part): Turn => {
        if (part['functionResponse'] !== undefined) {
          return { role: 'tool', text: JSON.stringify(objectOf(part['functionResponse'])['response']) };
        }
        return { role: role === 'model' ? 'assistant' : 'user', text: textOf(part['text']) };
      }),
    ),
  tools: (body) => namesIn(listOf(body['tools']).flatMap((tool) => listOf(tool['functionDeclarations']))),
  isStreamed: (path) => path.endsWith(':streamGenerateContent'),
  whole: (reply) => candidate(reply),
  stream: (reply) => [{ data: candidate(reply) }],
  error: (status, message) => ({ error: { code: status, message, status: WORDS[status] ?? 'INVALID_ARGUMENT' } }),
};

function candidate({ id, model, answer }: Reply): Said {
  const part =
    'call' in answer ? { functionCall: { id: `call_${id}`, name: answer.call.name, args: answer.call.args } } : { text: answer.text };
  return {
    candidates: [{ index: 0, content: { role: 'model', parts: [part] }, finishReason: 'STOP' }],
    usageMetadata: {
      promptTokenCount: CALL_USAGE.input,
      cachedContentTokenCount: CALL_USAGE.cached,
      candidatesTokenCount: CALL_USAGE.output,
      totalTokenCount: CALL_USAGE.input + CALL_USAGE.output,
    },
    modelVersion: model,
    responseId: id,
  };
}
