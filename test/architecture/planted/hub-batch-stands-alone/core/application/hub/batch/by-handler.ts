export { handleSubmit } from '../handlers/handle-submit.ts';
