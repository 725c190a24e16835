package main

import (
	"bytes"
	"context"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/agent/receipt"
	"posagent/printer"
	"posagent/printer/escpos"
	"posagent/printer/raster"
)

// receiptRuns is how often the receipt is made by each side.
const receiptRuns = 400

// sampleRecord is an approved sale, all of whose fields are printed.
func sampleRecord() journal.Record {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.FixedZone("", 8*3600))
	return journal.Record{
		ID: "01hq8zj0000000000000000042", Seq: 7, State: journal.Approved, Requester: "operator", RequestID: "7",
		Type: payment.Sale, Amount: 1234, Currency: payment.CNY, STAN: 42, Batch: 1, Time: at,
		TerminalID: "10000001", MerchantID: "103290055410001", Operator: "01",
		Entry: payment.Chip, MaskedPAN: "622609******0046", PANSequence: "001", PINEntered: true, CVM: journal.CVMOnlinePIN,
		EMV: &journal.EMV{AID: "A000000333010101", Label: "UnionPay Debit", PreferredName: "银联借记", Cryptogram: "A1B2C3D4E5F60718",
			CID: "40", ATC: "001F", TVR: "0000048000", TSI: "F800", CVMResults: "020000", ARC: "3030", UN: "01020304"},
		Code: "00", RRN: "150926000042", AuthCode: "123ABC", Issuer: "01040000", Acquirer: "01020000", CardOrg: "CUP",
		Changes: []journal.Change{{State: journal.Pending, Time: at}, {State: journal.Approved, Event: journal.Approve, Time: at.Add(2 * time.Second)}},
	}
}

// measureReceipt takes a record to the bytes that a printer gets, beside the
// plainest way to print the same page: all its dots in one raster command, without
// bands that are acknowledged, without trimming.
func measureReceipt(ctx context.Context, b *bench) ([]Line, error) {
	rec := sampleRecord()
	head := receipt.Header{NameZH: "测试便利店", NameEN: "TEST CONVENIENCE STORE", Address: "北京市测试路 1 号",
		Lines: []string{"欢迎光临"}, Footer: []string{"谢谢惠顾"}, QR: true}
	compose := func() (*printer.Document, error) {
		return receipt.Compose(rec, head, receipt.Merchant, receipt.Both, 0)
	}
	var enc escpos.Encoder
	var job *escpos.Job
	mine := func() error {
		doc, err := compose()
		if err == nil {
			job, err = enc.Encode(doc, nil)
		}
		return err
	}
	var bm printer.Bitmap
	var whole []byte
	plain := func() error {
		doc, err := compose()
		if err != nil {
			return err
		}
		page, err := raster.Layout(doc)
		if err != nil {
			return err
		}
		page.Draw(&bm)
		whole = escpos.AppendRasterHead(escpos.AppendInit(whole[:0]), uint16(bm.Stride()), uint16(bm.Height))
		whole = append(whole, bm.Pix...)
		return nil
	}
	if err := mine(); err != nil {
		return nil, err
	}
	sent := len(bytes.Clone(job.Bytes()))
	took, err := alternate(ctx, receiptRuns, mine, plain)
	if err != nil {
		return nil, err
	}
	a, err := allocs(mine)
	if err != nil {
		return nil, err
	}
	c, err := allocs(plain)
	if err != nil {
		return nil, err
	}
	b.say("receipt of %d dot lines in %d bands: %s", job.Lines, job.Len(), spread(took[ours]))
	const peer = "the same page as one full-width raster"
	return []Line{
		// 10 ms on a core of 1 GHz, which is at most 20 times slower than a desktop's.
		Line{Name: "receipt: compose, lay out, encode, p50", Ours: Value{median(took[ours]), Nanoseconds}}.
			beside(peer, median(took[floor]), 0).atMost(float64(500 * time.Microsecond)),
		Line{Name: "  bytes to the printer", Ours: Value{float64(sent), Bytes}}.beside(peer, float64(len(whole)), 0).ratioAtMost(0.6),
		Line{Name: "  allocations of it", Ours: Value{a, Allocs}}.beside(peer, c, 0),
	}, nil
}
