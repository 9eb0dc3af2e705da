/** Prepares pictures in a Worker: the other side of remote_prepare.js. */

import { answerCalls } from "../loader/worker_calls.js";
import { prepare } from "./prepare.js";

answerCalls({ prepare: ({ picture, settings }) => prepare(picture, settings) });
