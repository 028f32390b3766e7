/** `GET /admin/audit`: the audit log, in pages, as JSON or as lines to be stored elsewhere. */
import { auditEntryJson } from '../../../core/protocol/responses/audit-responses.ts';
import { auditSchema } from '../../../core/protocol/http-queries.ts';
import type { HttpApiDeps } from '../deps.ts';
import { pageLimit, queryReader } from '../query.ts';
import { ok, type Reply } from '../reply.ts';
import type { ApiRequest, Handlers } from '../request.ts';

export function auditHandlers({ audit, limits }: Pick<HttpApiDeps, 'audit' | 'limits'>): Pick<Handlers, 'listAudit'> {
  const readQuery = queryReader(auditSchema);
  return {
    async listAudit(request: ApiRequest): Promise<Reply> {
      const query = readQuery(request.query());
      if (query.kind === 'refused') return query.reply;
      const limit = pageLimit(query.value.limit, limits.page);
      if (limit.kind === 'refused') return limit.reply;
      const { entries, anchor, head } = await audit.read({ after: Number(query.value.after ?? 0), limit: limit.value });
      const json = entries.map(auditEntryJson);
      if (query.value.format === 'ndjson') {
        const lines = json.map((entry) => `${JSON.stringify(entry)}\n`).join('');
        return { status: 200, body: lines, headers: { 'content-type': 'application/x-ndjson; charset=utf-8' } };
      }
      const last = entries.at(-1);
      return ok({ entries: json, anchor, head, next_after: last === undefined || last.seq >= head.seq ? null : last.seq });
    },
  };
}
