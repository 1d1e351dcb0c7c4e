// RUN: rtorch-opt %s --split-input-file --rt-raise --rt-verify-layouts=form=value | FileCheck %s

// The gradient of a weight over the steps of a sequence.
// CHECK-LABEL: func.func @products
//  CHECK-SAME: (%[[A:.+]]: !rt.tensor<2x32xf32>, %[[B:.+]]: !rt.tensor<3x32xf32>, %[[C:.+]]: !rt.tensor<2x32xf32>, %[[X:.+]]: !rt.tensor<2x64xf32>, %[[Y:.+]]: !rt.tensor<3x64xf32>, %[[Z:.+]]: !rt.tensor<2x64xf32>, %[[S:.+]]: !rt.tensor<32x64xf32>)
//   CHECK-DAG: %[[L:.+]] = rt.cat %[[A]], %[[B]], %[[C]] dim 0
//   CHECK-DAG: %[[T:.+]] = rt.permute %[[L]] [1, 0]
//   CHECK-DAG: %[[R:.+]] = rt.cat %[[X]], %[[Y]], %[[Z]] dim 0
//       CHECK: %[[P:.+]] = rt.matmul %[[T]], %[[R]]
//  CHECK-NEXT: %[[G:.+]] = rt.add %[[P]], %[[S]]
//  CHECK-NEXT: rt.return %[[G]]
func.func @products(%a: !rt.tensor<2x32xf32>, %b: !rt.tensor<3x32xf32>, %c: !rt.tensor<2x32xf32>,
                    %x: !rt.tensor<2x64xf32>, %y: !rt.tensor<3x64xf32>, %z: !rt.tensor<2x64xf32>,
                    %s: !rt.tensor<32x64xf32>) -> !rt.tensor<32x64xf32> {
  %at = rt.permute %a [1, 0] : !rt.tensor<2x32xf32> -> !rt.tensor<32x2xf32, strided<[1, 32]>>
  %bt = rt.permute %b [1, 0] : !rt.tensor<3x32xf32> -> !rt.tensor<32x3xf32, strided<[1, 32]>>
  %ct = rt.permute %c [1, 0] : !rt.tensor<2x32xf32> -> !rt.tensor<32x2xf32, strided<[1, 32]>>
  %p = rt.matmul %at, %x : !rt.tensor<32x2xf32, strided<[1, 32]>>, !rt.tensor<2x64xf32> -> !rt.tensor<32x64xf32>
  %q = rt.matmul %bt, %y : !rt.tensor<32x3xf32, strided<[1, 32]>>, !rt.tensor<3x64xf32> -> !rt.tensor<32x64xf32>
  %r = rt.matmul %ct, %z : !rt.tensor<32x2xf32, strided<[1, 32]>>, !rt.tensor<2x64xf32> -> !rt.tensor<32x64xf32>
  %pq = rt.add %p, %q : !rt.tensor<32x64xf32>, !rt.tensor<32x64xf32> -> !rt.tensor<32x64xf32>
  %pqs = rt.add %pq, %s : !rt.tensor<32x64xf32>, !rt.tensor<32x64xf32> -> !rt.tensor<32x64xf32>
  %g = rt.add %pqs, %r : !rt.tensor<32x64xf32>, !rt.tensor<32x64xf32> -> !rt.tensor<32x64xf32>
  rt.return %g : !rt.tensor<32x64xf32>
}

// -----

// The gradient of a bias.
// CHECK-LABEL: func.func @totals
//  CHECK-SAME: (%[[A:.+]]: !rt.tensor<2x32xf32>, %[[B:.+]]: !rt.tensor<3x32xf32>, %[[C:.+]]: !rt.tensor<2x32xf32>)
//  CHECK-NEXT: %[[L:.+]] = rt.cat %[[A]], %[[B]], %[[C]] dim 0
//  CHECK-NEXT: %[[P:.+]] = rt.sum %[[L]] [0] keepdim true
//  CHECK-NEXT: %[[G:.+]] = rt.view %[[P]]
//  CHECK-NEXT: rt.return %[[G]]
func.func @totals(%a: !rt.tensor<2x32xf32>, %b: !rt.tensor<3x32xf32>, %c: !rt.tensor<2x32xf32>) -> !rt.tensor<32xf32> {
  %p = rt.sum %a [0] keepdim true : !rt.tensor<2x32xf32> -> !rt.tensor<1x32xf32>
  %q = rt.sum %b [0] keepdim true : !rt.tensor<3x32xf32> -> !rt.tensor<1x32xf32>
  %r = rt.sum %c [0] keepdim true : !rt.tensor<2x32xf32> -> !rt.tensor<1x32xf32>
  %pv = rt.view %p : !rt.tensor<1x32xf32> -> !rt.tensor<32xf32>
  %qv = rt.view %q : !rt.tensor<1x32xf32> -> !rt.tensor<32xf32>
  %rv = rt.view %r : !rt.tensor<1x32xf32> -> !rt.tensor<32xf32>
  %pq = rt.add %pv, %qv : !rt.tensor<32xf32>, !rt.tensor<32xf32> -> !rt.tensor<32xf32>
  %g = rt.add %pq, %rv : !rt.tensor<32xf32>, !rt.tensor<32xf32> -> !rt.tensor<32xf32>
  rt.return %g : !rt.tensor<32xf32>
}

// -----

// Factors larger than the results, a product that is needed by itself, and two terms only.
// CHECK-LABEL: func.func @kept_apart
//   CHECK-NOT: rt.cat
func.func @kept_apart(%a: !rt.tensor<4x64xf32>, %b: !rt.tensor<64x4xf32>, %x: !rt.tensor<32x1xf32>, %y: !rt.tensor<1x32xf32>)
    -> (!rt.tensor<4x4xf32>, !rt.tensor<32x32xf32>, !rt.tensor<32x32xf32>) {
  %p = rt.matmul %a, %b : !rt.tensor<4x64xf32>, !rt.tensor<64x4xf32> -> !rt.tensor<4x4xf32>
  %c = rt.neg %a : !rt.tensor<4x64xf32> -> !rt.tensor<4x64xf32>
  %q = rt.matmul %c, %b : !rt.tensor<4x64xf32>, !rt.tensor<64x4xf32> -> !rt.tensor<4x4xf32>
  %d = rt.abs %a : !rt.tensor<4x64xf32> -> !rt.tensor<4x64xf32>
  %r = rt.matmul %d, %b : !rt.tensor<4x64xf32>, !rt.tensor<64x4xf32> -> !rt.tensor<4x4xf32>
  %pq = rt.add %p, %q : !rt.tensor<4x4xf32>, !rt.tensor<4x4xf32> -> !rt.tensor<4x4xf32>
  %g = rt.add %pq, %r : !rt.tensor<4x4xf32>, !rt.tensor<4x4xf32> -> !rt.tensor<4x4xf32>
  %k = rt.matmul %x, %y : !rt.tensor<32x1xf32>, !rt.tensor<1x32xf32> -> !rt.tensor<32x32xf32>
  %n = rt.neg %x : !rt.tensor<32x1xf32> -> !rt.tensor<32x1xf32>
  %l = rt.matmul %n, %y : !rt.tensor<32x1xf32>, !rt.tensor<1x32xf32> -> !rt.tensor<32x32xf32>
  %o = rt.abs %x : !rt.tensor<32x1xf32> -> !rt.tensor<32x1xf32>
  %m = rt.matmul %o, %y : !rt.tensor<32x1xf32>, !rt.tensor<1x32xf32> -> !rt.tensor<32x32xf32>
  %kl = rt.add %k, %l : !rt.tensor<32x32xf32>, !rt.tensor<32x32xf32> -> !rt.tensor<32x32xf32>
  %klm = rt.add %kl, %m : !rt.tensor<32x32xf32>, !rt.tensor<32x32xf32> -> !rt.tensor<32x32xf32>
  rt.return %g, %klm, %m : !rt.tensor<4x4xf32>, !rt.tensor<32x32xf32>, !rt.tensor<32x32xf32>
}
