"""The computing endpoints as values, their refusals in order of precedence."""

from __future__ import annotations

from opkit.wire.compute.refusals import (
    BlobUnknown,
    HashMalformed,
    InputMismatch,
    LimitsExcessive,
    ManifestExpired,
    ManifestRejected,
    ModuleInvalid,
    ModuleUnknown,
    QueueFull,
    QuotaExceeded,
    StorageFull,
    StorageQuotaExceeded,
    SubmitterMismatch,
    TaskConflict,
    TaskUnknown,
)
from opkit.wire.compute.types import (
    BLOB_BYTES_MAX,
    MODULE_BYTES_MAX,
    BlobContent,
    BlobInfo,
    CancelTask,
    DeployModule,
    GetBlob,
    GetModule,
    GetTask,
    ListModules,
    ModuleInfo,
    ModulePage,
    PutBlob,
    SubmitTask,
    TaskView,
)
from opkit.wire.endpoint import Endpoint, Scope

DEPLOY = Endpoint(
    name="compute.deploy",
    method="POST",
    path="/v1/compute/wasm",
    ask=DeployModule,
    answer=ModuleInfo,
    scope=Scope.WASM_WRITE,
    changes=True,
    raw_ask="module",
    body_bytes_max=MODULE_BYTES_MAX,
    refuses=(ModuleInvalid, StorageQuotaExceeded, StorageFull),
)

GET_MODULE = Endpoint(
    name="compute.module",
    method="GET",
    path="/v1/compute/wasm/{wasm_hash}",
    ask=GetModule,
    answer=ModuleInfo,
    scope=Scope.WASM_READ,
    refuses=(HashMalformed, ModuleUnknown),
)

LIST_MODULES = Endpoint(
    name="compute.modules",
    method="GET",
    path="/v1/compute/wasm",
    ask=ListModules,
    answer=ModulePage,
    scope=Scope.WASM_READ,
)

PUT_BLOB = Endpoint(
    name="compute.put-blob",
    method="POST",
    path="/v1/compute/blobs",
    ask=PutBlob,
    answer=BlobInfo,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    raw_ask="content",
    body_bytes_max=BLOB_BYTES_MAX,
    refuses=(StorageQuotaExceeded, StorageFull),
)

GET_BLOB = Endpoint(
    name="compute.get-blob",
    method="GET",
    path="/v1/compute/blobs/{cid}",
    ask=GetBlob,
    answer=BlobContent,
    scope=Scope.WASM_READ,
    raw_answer="content",
    refuses=(HashMalformed, BlobUnknown),
)

SUBMIT = Endpoint(
    name="compute.submit",
    method="POST",
    path="/v1/compute/tasks",
    ask=SubmitTask,
    answer=TaskView,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    refuses=(
        ManifestRejected,
        SubmitterMismatch,
        HashMalformed,
        ManifestExpired,
        LimitsExcessive,
        TaskConflict,
        InputMismatch,
        BlobUnknown,
        QuotaExceeded,
        QueueFull,
        StorageFull,
    ),
)

GET_TASK = Endpoint(
    name="compute.task",
    method="GET",
    path="/v1/compute/tasks/{task_id}",
    ask=GetTask,
    answer=TaskView,
    scope=Scope.COMPUTE_READ,
    refuses=(TaskUnknown,),
)

CANCEL = Endpoint(
    name="compute.cancel",
    method="POST",
    path="/v1/compute/tasks/{task_id}/cancel",
    ask=CancelTask,
    answer=TaskView,
    scope=Scope.COMPUTE_SUBMIT,
    changes=True,
    refuses=(TaskUnknown,),
)
