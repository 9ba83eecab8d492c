// The decisions that nginx's own directives can't make (njs; Debian: libnginx-mod-http-js).

import crypto from 'crypto';
import fs from 'fs';

const BEARER = /^Bearer ([\x21-\x7e]{16,256})$/i;
const LINE = /^([A-Za-z0-9._-]{1,64})\s+([0-9a-f]{64})$/;
const MODELS = ['detect_faces', 'embed_face', 'analyze_faces'];
const MAX_JSON = 65536; // bytes: njs would need a second for 13 MB
const QUOTE = 0x22, BACKSLASH = 0x5c;
// What encoders escape in base64: PHP the slash, all of them line breaks, .NET what HTML could take
// amiss.
const LETTERS = [0x2f, 0x6e, 0x72, 0x74]; // / n r t
const CODES = /^u00(?:2[bf]|3d)$/i; // + / =
// Bytes of a gRPC field that is no tensor: Triton repeats names in its errors, and those must fit a
// header of HTTP/2.
const MAX_NAME = 1024;
// Asked of an output of strings, such as `models`, it ends Triton 2.51.
const CLASSES = 'classification';
// Half of a surrogate pair.
const LONE = /(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])/i;
// A request has one field for each parameter, input, output and tensor, and a few more.
const MAX_FIELDS = 256;
const SWITCHES = ['binary_data', 'binary_data_output', 'sequence_start', 'sequence_end'];
const COUNTS = '"(?:binary_data_size|sequence_id|priority|timeout)"';
const ALL_COUNTS = new RegExp(COUNTS, 'g');
const SOUND_COUNTS = new RegExp(COUNTS + '\\s*:\\s*(?:0|[1-9][0-9]{0,14})\\s*[,}]', 'g');

// The id of the key in `Authorization: Bearer`. The file is read for each request, so that a key
// is accepted, or not any more, as soon as the file says so. "!" where it can't be read.
function keyId(r) {
    const given = BEARER.exec(r.headersIn.Authorization || '');
    if (!given) {
        return '';
    }
    let lines;
    try {
        lines = fs.readFileSync(r.variables.keys_file, 'utf8').split('\n');
    } catch (error) {
        r.error('the API keys cannot be read: ' + error.message);
        return '!';
    }
    const digest = crypto.createHash('sha256').update(given[1]).digest('hex');
    let found = '';
    // All keys, and all digits of each: the time taken tells nothing about which was near.
    for (let i = 0; i < lines.length; i++) {
        const key = LINE.exec(lines[i]);
        if (key && difference(key[2], digest) === 0) {
            found = key[1];
        }
    }
    return found;
}

function difference(one, other) {
    let bits = 0;
    for (let i = 0; i < 64; i++) {
        bits |= one.charCodeAt(i) ^ other.charCodeAt(i);
    }
    return bits;
}

// ModelInfer and ModelReady, of the public models only.
function grpc(r) {
    const name = modelName(r.requestBuffer || Buffer.alloc(0));
    if (name === null) {
        r.internalRedirect('/_edge/' + r.variables.speaks + '/400');
    } else if (MODELS.indexOf(name) < 0) {
        r.internalRedirect('/_edge/' + r.variables.speaks + '/model');
    } else {
        r.variables.model = name;
        r.internalRedirect('@triton');
    }
}

// Inference over HTTP. Triton 2.51's HTTP front end dies of JSON that is nested deep, and of shapes
// so large that their product overflows or can't be allocated; it answers 500 to values of the wrong
// type. So only JSON that the pipelines can mean goes on.
function infer(r) {
    // The header as it is sent on, should there be two.
    const given = r.variables.http_inference_header_content_length;
    if (!given && bodyLength(r) > Number(r.variables.json_limit)) {
        r.internalRedirect('/_edge/http/large_json');
    } else if (given && Number(given) === 0 || sound(json(r, given))) {
        r.internalRedirect('@triton_http');
    } else {
        r.internalRedirect('/_edge/http/json');
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
        return body.slice(0, length).toString();
    }
    const head = /^[\s\S]*?"data"\s*:\s*\[\s*"/.exec(body.slice(0, MAX_JSON / 2).toString());
    if (given || !head) {
        return '';
    }
    const start = Buffer.byteLength(head[0]);
    const end = body.indexOf(QUOTE, start);
    // Bytes that are no text would shift `start`.
    if (body.slice(0, start).toString() !== head[0] || body.length - end > MAX_JSON / 2) {
        return '';
    }
    let at = start;
    while ((at = body.indexOf(BACKSLASH, at)) >= 0 && at < end) {
        if (LETTERS.indexOf(body[at + 1]) >= 0) {
            at += 2;
        } else if (CODES.test(body.toString('utf8', at + 1, at + 6))) {
            at += 6;
        } else {
            return '';
        }
    }
    return head[0] + body.slice(end).toString();
}

// Whether a request's JSON has one input, of shape [1] and datatype BYTES, and else only values of
// the types that Triton expects.
function sound(text) {
    // Of two members of one name Triton takes the first and JSON.parse the last, so these may come
    // only once; and none may be hidden by an escaped letter, which nobody's encoder writes.
    const hidden = /\\u00[67]/i.test(text) ||
        !['inputs', 'shape', 'datatype'].every(name => once(text, name));
    // What JSON.parse takes and Triton doesn't: halves of characters, names that are empty or have a
    // zero byte, 1.0 for 1.
    const odd = LONE.test(text) || /\\u0000|""\s*:/.test(text) ||
        !/"shape"\s*:\s*\[\s*1\s*\]/.test(text) ||
        matches(text, ALL_COUNTS) !== matches(text, SOUND_COUNTS);
    if (hidden || odd) {
        return false;
    }
    let request;
    try {
        request = JSON.parse(text); // which refuses more than 32 levels
    } catch (error) {
        return false;
    }
    if (!isObject(request) || !Array.isArray(request.inputs) || request.inputs.length !== 1) {
        return false;
    }
    const image = request.inputs[0];
    const outputs = request.outputs === undefined ? [] : request.outputs;
    return isObject(image) && typeof image.name === 'string' && image.datatype === 'BYTES' &&
        Array.isArray(image.shape) && // the one of which the text was looked at
        (image.data === undefined || Array.isArray(image.data) && image.data.length === 1 &&
            typeof image.data[0] === 'string') &&
        (request.id === undefined || typeof request.id === 'string') &&
        soundParameters(image.parameters) && soundParameters(request.parameters) &&
        Array.isArray(outputs) && outputs.every(output => isObject(output) &&
            typeof output.name === 'string' && soundParameters(output.parameters));
}

function once(text, name) {
    const quoted = '"' + name + '"';
    const at = text.indexOf(quoted);
    return at >= 0 && text.indexOf(quoted, at + 1) < 0;
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

// Field 1 of the one message in a gRPC body, which is the model's name in ModelInferRequest and
// ModelReadyRequest (KServe's open_inference_grpc.proto); null where the body is anything but one
// uncompressed protobuf message. The last of several counts, as in protobuf's own parsers.
function modelName(body) {
    if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
        return null;
    }
    let name = '';
    const small = (start, end) => end - start <= MAX_NAME;
    const sound = walk(body, 5, body.length, (field, start, end) => {
        if (field === 1) {
            name = body.toString('utf8', start, end);
            return true; // of any length, as only known ones go on
        }
        if (field === 5) { // an input, whose field 5 is its contents
            return walk(body, start, end, (inner, a, b) => inner === 5 || small(a, b));
        }
        if (field === 6 && body.toString('utf8', start, end).indexOf(CLASSES) >= 0) {
            return false;
        }
        return field === 7 || small(start, end); // 6: an output, 7: raw contents
    });
    return sound ? name : null;
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

export default {keyId, grpc, infer};
