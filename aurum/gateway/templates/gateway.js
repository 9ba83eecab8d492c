// The decisions that nginx's own directives can't make (njs; Debian: libnginx-mod-http-js).

import crypto from 'crypto';
import fs from 'fs';

const BEARER = /^Bearer ([\x21-\x7e]{16,256})$/i;
// A line of the file of keys, as aurum/gateway/keys.py reads it.
const LINE = /^(?:\ufeff)?[ \t]*([A-Za-z0-9._-]{1,64})[ \t]+([0-9a-f]{64})[ \t]*\r?$/;
const MODELS = ['detect_faces', 'embed_face', 'analyze_faces'];
const MAX_JSON = 65536; // bytes: njs would need a second for 13 MB
const NEWLINE = 0x0a, QUOTE = 0x22;
// A backslash before anything but what encoders escape in base64: PHP the slash, all of them line
// breaks, .NET what HTML could take amiss (+ / =).
const ODD_ESCAPE = /\\(?![/nrt]|u00(?:2[bf]|3d))/i;
// The same in a part of a text, whose last five bytes begin the next part.
const ODD_ESCAPE_BEFORE = /\\(?![/nrt]|u00(?:2[bf]|3d)|[\x00-\x7f]{0,4}(?![\s\S]))/i;
const PART = 262144; // bytes of a photo that are looked at in one go
// Bytes of a gRPC field that is no tensor: Triton repeats names in its errors, and those must fit a
// header of HTTP/2.
const MAX_NAME = 1024;
// Asked of an output of strings, such as `models`, it ends Triton 2.51.
const CLASSES = 'classification';
// Strings of JSON, with the colon behind those that are names.
const STRINGS = /"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?/g;
// Half of a surrogate pair.
const LONE = /(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])/i;
// A request has one field for each parameter, input, output and tensor, and a few more.
const MAX_FIELDS = 256;
const SWITCHES = ['binary_data', 'binary_data_output', 'sequence_start', 'sequence_end'];
const COUNTS = '"(?:binary_data_size|sequence_id|priority|timeout)"';
const ALL_COUNTS = new RegExp(COUNTS, 'g');
const SOUND_COUNTS = new RegExp(COUNTS + '\\s*:\\s*(?:0|[1-9][0-9]{0,14})\\s*[,}]', 'g');

// What has a meaning for gRPC itself: wrong values of it make Triton reset the connection.
const RESERVED = /^grpc-|-bin$/i;
// The parameters that Triton makes of the gateway's own headers.
const OURS = /^x-(?:request-id|aurum-.*)$/i;
const HELD = 10000; // ms
const ANSWERING = 10; // seconds that a photo may take once its turn has come
const CONTROL = /[\x00-\x1f\x7f-\x9f]/; // would break a line of Triton's log
const KEY = /aurum_[A-Za-z0-9_-]{40}/; // nor may a log have one

// The id of the key in `Authorization: Bearer`. The file is read for each request, so that a key
// is accepted, or not any more, as soon as the file says so; it is not parsed, but searched for the
// key's digest, which takes much the same time for one key and for thousands. What that time tells of
// digests is worth nothing, as keys are random. "!" where the file can't be read.
function keyId(r) {
    const given = BEARER.exec(r.headersIn.Authorization || '');
    if (!given) {
        return '';
    }
    let file;
    try {
        file = fs.readFileSync(r.variables.keys_file);
    } catch (error) {
        r.error('the API keys cannot be read: ' + error.message);
        return '!';
    }
    return owner(file, crypto.createHash('sha256').update(given[1]).digest('hex'));
}

// Whose line in the file of keys has this digest; "" if nobody's.
function owner(file, digest) {
    let at = -1;
    while ((at = file.indexOf(digest, at + 1)) >= 0) {
        const start = file.lastIndexOf(NEWLINE, at) + 1;
        const end = file.indexOf(NEWLINE, at);
        const key = LINE.exec(file.toString('utf8', start, end < 0 ? file.length : end));
        if (key && key[2] === digest) {
            return key[1];
        }
    }
    return '';
}

// ModelInfer and ModelReady, of the public models only.
function grpc(r) {
    const asked = reservedMetadata(r) ? {refusal: 'metadata'} :
        modelOf(r.requestBuffer || Buffer.alloc(0));
    if (asked.refusal) {
        r.internalRedirect('/_gateway/' + r.variables.speaks + '/' + asked.refusal);
    } else {
        r.variables.model = asked.model;
        r.internalRedirect('@triton');
    }
}

// ServerLive and ServerReady: their one message has no fields, so it is always these five bytes.
function health(r) {
    const body = r.requestBuffer || Buffer.alloc(0);
    if (reservedMetadata(r)) {
        r.internalRedirect('/_gateway/' + r.variables.speaks + '/metadata');
    } else if (body.length !== 5 || body.readUInt32BE(0) !== 0 || body[4] !== 0) {
        r.internalRedirect('/_gateway/' + r.variables.speaks + '/400');
    } else {
        r.internalRedirect('@triton_health');
    }
}

// Keep the place of a caller who has gone before the answer (docs/guides/security.md).
function gone(r) {
    setTimeout(() => r.finish(), HELD);
}

// The steps look at nothing that is older: the gateway soon gives up on it, and would take the server for
// one that fails.
function deadline(r) {
    const patience = Number(r.variables.server_timeout);
    return (Date.now() / 1000 + patience - Math.min(ANSWERING, patience / 2)).toFixed(3);
}

// Whether there is metadata of gRPC's own that nginx doesn't take out.
function reservedMetadata(r) {
    const known = r.variables.dropped_metadata.split(' ');
    return r.rawHeadersIn.some(header => RESERVED.test(header[0]) &&
        known.indexOf(header[0].toLowerCase()) < 0);
}

// Inference over HTTP. Triton 2.51's HTTP front end dies of JSON that is nested deep, and of shapes
// so large that their product overflows or can't be allocated; it answers 500 to values of the wrong
// type. So only JSON that the pipelines can mean goes on.
function infer(r) {
    // The header as it is sent on, should there be two.
    const given = r.variables.http_inference_header_content_length;
    if (!given && bodyLength(r) > Number(r.variables.json_limit)) {
        r.internalRedirect('/_gateway/http/large_json');
    } else {
        const wrong = given && Number(given) === 0 ? '' : fault(json(r, given));
        r.internalRedirect(wrong ? '/_gateway/http/' + wrong : '@triton_http');
    }
}

// Of the body, which for JSON alone has a limit of its own: it takes its size in memory twice.
function bodyLength(r) {
    return Number(r.headersIn['Content-Length'] || (r.requestBuffer || '').length);
}

// The JSON of a request: what its header says, or the whole body; of a long one what is around the
// string that is its photo. "" where there is none, or too much.
function json(r, given) {
    const body = r.requestBuffer;
    const length = given ? Number(given) : body && body.length;
    if (!body || !length || length > body.length) {
        return '';
    }
    if (length <= MAX_JSON) {
        return text(body.slice(0, length));
    }
    const head = /^[\s\S]*?"data"\s*:\s*\[\s*"/.exec(body.slice(0, MAX_JSON / 2).toString());
    if (given || !head) {
        return '';
    }
    const start = Buffer.byteLength(head[0]);
    const end = body.indexOf(QUOTE, start);
    // Bytes that are no text would shift `start`.
    if (text(body.slice(0, start)) !== head[0] || body.length - end > MAX_JSON / 2) {
        return '';
    }
    // In large parts, as a step of njs for each of millions of escapes would take seconds.
    const first = body.indexOf('\\', start);
    for (let at = first < 0 ? end : first; at < end; at += PART) {
        const stop = Math.min(at + PART + 5, end + 1);
        const odd = stop > end ? ODD_ESCAPE : ODD_ESCAPE_BEFORE;
        if (odd.test(body.toString('utf8', at, stop))) {
            return '';
        }
    }
    const tail = text(body.slice(end));
    return tail && head[0] + tail;
}

// The text that these bytes are; "" if they are no UTF-8: Triton repeats names as they came, in answers
// that would be no JSON.
function text(bytes) {
    const found = bytes.toString();
    return Buffer.from(found).equals(bytes) ? found : '';
}

// What is wrong with a request's JSON, by the name of the answer; "" if it has one input, of shape [1]
// and datatype BYTES, and else only values of the types that Triton expects.
function fault(text) {
    // What JSON.parse takes and Triton doesn't: halves of characters, names that are empty or have a
    // zero byte, 1.0 for 1. No name may hide behind escaped letters, which nobody's encoder writes.
    if (/\\u00[67]/i.test(text) || matches(text, /"shape"/g) !== 1 || LONE.test(text) || /\\u0000|""\s*:/.test(text) ||
        !/"shape"\s*:\s*\[\s*1\s*\]/.test(text) ||
        matches(text, ALL_COUNTS) !== matches(text, SOUND_COUNTS)) {
        return 'json';
    }
    let request;
    try {
        request = JSON.parse(text); // which refuses more than 32 levels
    } catch (error) {
        return 'json';
    }
    // Of two members of one name Triton takes the first and JSON.parse the last: so none may have two.
    if (!sound(request) || names(text) !== members(request)) {
        return 'json';
    }
    if (Object.keys(request.parameters || {}).some(name => OURS.test(name))) {
        return 'request_id';
    }
    return forLogs(request.id || '') ? '' : 'id';
}

function sound(request) {
    if (!isObject(request) || !Array.isArray(request.inputs) || request.inputs.length !== 1) {
        return false;
    }
    const image = request.inputs[0];
    const outputs = request.outputs === undefined ? [] : request.outputs;
    return isObject(image) && typeof image.name === 'string' && image.datatype === 'BYTES' &&
        Array.isArray(image.shape) && image.shape.length === 1 && image.shape[0] === 1 &&
        (image.data === undefined || Array.isArray(image.data) && image.data.length === 1 &&
            typeof image.data[0] === 'string') &&
        (request.id === undefined || typeof request.id === 'string') &&
        soundParameters(image.parameters) && soundParameters(request.parameters) &&
        Array.isArray(outputs) && outputs.every(output => isObject(output) &&
            typeof output.name === 'string' && soundParameters(output.parameters));
}

// Whether Triton may write this id of a request into its log.
function forLogs(id) {
    return !CONTROL.test(id) && !KEY.test(id);
}

// How many members the objects of a JSON text have, each time they are named.
function names(text) {
    return (text.match(STRINGS) || []).filter(found => found[found.length - 1] === ':').length;
}

// How many members the objects in a value have.
function members(value) {
    if (typeof value !== 'object' || value === null) {
        return 0;
    }
    const inner = Array.isArray(value) ? value : Object.values(value);
    return inner.reduce((sum, item) => sum + members(item), inner === value ? 0 : inner.length);
}

function matches(text, pattern) {
    return (text.match(pattern) || []).length;
}

function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Parameters of a request, an input or an output: plain values, and of Triton's own names the types
// that its HTTP front end (2.51) reads them as.
function soundParameters(parameters) {
    return parameters === undefined || isObject(parameters) &&
        Object.keys(parameters).every(name => {
            const value = parameters[name];
            if (name === CLASSES || name.startsWith('shared_memory')) {
                return false;
            }
            if (SWITCHES.indexOf(name) >= 0) {
                return typeof value === 'boolean';
            }
            return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
        });
}

// The model that a gRPC body asks: field 1 of its one message, which is the name in
// ModelInferRequest and ModelReadyRequest (KServe's open_inference_grpc.proto). The last of several
// counts, as in protobuf's own parsers. Or the name of the answer, where it is no such message.
function modelOf(body) {
    if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
        return {refusal: '400'};
    }
    let model = '';
    let refusal = '';
    const small = (start, end) => end - start <= MAX_NAME;
    const text = (start, end) => body.toString('utf8', start, end);
    const sound = walk(body, 5, body.length, (field, start, end) => {
        if (field === 1) {
            model = small(start, end) ? text(start, end) : '';
            return true;
        }
        if (field === 5) { // an input, whose field 5 is its contents
            return walk(body, start, end, (inner, a, b) => inner === 5 || small(a, b));
        }
        if (field === 7) { // raw contents
            return true;
        }
        if (!small(start, end)) {
            return false;
        }
        if (field === 3 && !forLogs(text(start, end))) {
            refusal = 'id';
        }
        if (field === 4) { // a parameter, whose field 1 is its name
            return walk(body, start, end, (inner, a, b) => {
                if (inner === 1 && OURS.test(text(a, b))) {
                    refusal = 'request_id';
                }
                return true;
            });
        }
        return field !== 6 || text(start, end).indexOf(CLASSES) < 0; // an output
    });
    if (!sound) {
        return {refusal: '400'};
    }
    if (MODELS.indexOf(model) < 0) {
        return {refusal: 'model'};
    }
    return {model: model, refusal: refusal};
}

// Visit each field with a length of a protobuf message; false if it is no message, or `visit` says so.
function walk(body, start, stop, visit) {
    const reader = {body: body, at: start};
    for (let fields = 0; reader.at < stop; fields++) {
        const tag = varint(reader, 5);
        if (tag === null || tag >= 4294967296 || fields === MAX_FIELDS) {
            return false;
        }
        const field = Math.floor(tag / 8);
        let length = 0;
        switch (tag % 8) {
        case 0:
            if (varint(reader, 10) === null) {
                return false;
            }
            break;
        case 1:
            length = 8;
            break;
        case 2:
            length = varint(reader, 5);
            if (length === null || length > stop - reader.at ||
                !visit(field, reader.at, reader.at + length)) {
                return false;
            }
            break;
        case 5:
            length = 4;
            break;
        default:
            return false;
        }
        reader.at += length;
    }
    return reader.at === stop;
}

// protobuf's variable-length integer of at most `bytes` bytes; null where there is none.
function varint(reader, bytes) {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < bytes && reader.at < reader.body.length; i++) {
        const byte = reader.body[reader.at++];
        value += (byte % 128) * scale;
        scale *= 128;
        if (byte < 128) {
            return value;
        }
    }
    return null;
}

export default {keyId, deadline, gone, grpc, health, infer};
